// The kernels without a contraction on sm_90a: a work item is one CTA.
#include "schedule/Rules.h"
#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

using namespace kernels;

const Space<EmbedSpec> &sm90aSpace(const EmbedSpec *) {
  static const Space<EmbedSpec> space = {threadsWord<EmbedSpec>(
      +[](const Facts<EmbedSpec> &f) { return f.spec.hidden; })};
  return space;
}

const Space<MtpInputSpec> &sm90aSpace(const MtpInputSpec *) {
  static const Space<MtpInputSpec> space = {threadsWord<MtpInputSpec>(
      +[](const Facts<MtpInputSpec> &f) { return f.spec.hidden; })};
  return space;
}

const Space<NormQuantSpec> &sm90aSpace(const NormQuantSpec *) {
  static const Space<NormQuantSpec> space = {
      threadsWord<NormQuantSpec>(+[](const Facts<NormQuantSpec> &f) {
        return f.spec.quantize ? alignTo(f.spec.width, kScaleGroup)
                               : f.spec.width;
      })};
  return space;
}

const Space<LatentNormRopeCacheSpec> &
sm90aSpace(const LatentNormRopeCacheSpec *) {
  using Spec = LatentNormRopeCacheSpec;
  static const Space<Spec> space = {
      threadsWord<Spec>(+[](const Facts<Spec> &f) {
        int64_t query =
            f.spec.quantize ? alignTo(f.spec.qLora, kScaleGroup) : f.spec.qLora;
        return std::max({query, f.spec.latent, f.spec.rope});
      })};
  return space;
}

const Space<QuantizeSpec> &sm90aSpace(const QuantizeSpec *) {
  static const Space<QuantizeSpec> space = {
      columnsWord(&QuantizeSpec::width, kScaleGroup),
      threadsWord<QuantizeSpec>(itemColumns<QuantizeSpec>)};
  return space;
}

const Space<AddSpec> &sm90aSpace(const AddSpec *) {
  static const Space<AddSpec> space = {
      columnsWord(&AddSpec::width, kScaleGroup),
      threadsWord<AddSpec>(itemColumns<AddSpec>)};
  return space;
}

const Space<SiluMulSpec> &sm90aSpace(const SiluMulSpec *) {
  static const Space<SiluMulSpec> space = {
      columnsWord(&SiluMulSpec::width, kScaleGroup),
      threadsWord<SiluMulSpec>(itemColumns<SiluMulSpec>)};
  return space;
}

const Space<MoeCombineSpec> &sm90aSpace(const MoeCombineSpec *) {
  static const Space<MoeCombineSpec> space = {
      columnsWord(&MoeCombineSpec::hidden, 1),
      threadsWord<MoeCombineSpec>(itemColumns<MoeCombineSpec>)};
  return space;
}

const Space<MoePermuteSpec> &sm90aSpace(const MoePermuteSpec *) {
  using Spec = MoePermuteSpec;
  static const Space<Spec> space = {stepTokens<Spec>(),
                                    threadsWord<Spec>(stepChoices<Spec>)};
  return space;
}

const Space<MoeCountSpec> &sm90aSpace(const MoeCountSpec *) {
  using Spec = MoeCountSpec;
  static const Space<Spec> space = {stepTokens<Spec>(),
                                    threadsWord<Spec>(stepChoices<Spec>)};
  return space;
}

const Space<MoeRouteSpec> &sm90aSpace(const MoeRouteSpec *) {
  using Spec = MoeRouteSpec;
  static const Space<Spec> space = {stepTokens<Spec>(),
                                    threadsWord<Spec>(stepChoices<Spec>)};
  return space;
}

const Space<MoePackSpec> &sm90aSpace(const MoePackSpec *) {
  using Spec = MoePackSpec;
  static const Space<Spec> space = {movedColumns<Spec>(kScaleGroup),
                                    threadsWord<Spec>(itemColumns<Spec>)};
  return space;
}

const Space<MoeReceiveSpec> &sm90aSpace(const MoeReceiveSpec *) {
  using Spec = MoeReceiveSpec;
  static const Space<Spec> space = {stepReceived(),
                                    threadsWord<Spec>(stepChoices<Spec>)};
  return space;
}

const Space<MoeReturnRowsSpec> &sm90aSpace(const MoeReturnRowsSpec *) {
  using Spec = MoeReturnRowsSpec;
  static const Space<Spec> space = {movedColumns<Spec>(1),
                                    threadsWord<Spec>(itemColumns<Spec>)};
  return space;
}

const Space<CopyRowsSpec> &sm90aSpace(const CopyRowsSpec *) {
  static const Space<CopyRowsSpec> space = {
      columnsWord(&CopyRowsSpec::width, 1),
      threadsWord<CopyRowsSpec>(itemColumns<CopyRowsSpec>)};
  return space;
}

const Space<JoinColumnsSpec> &sm90aSpace(const JoinColumnsSpec *) {
  static const Space<JoinColumnsSpec> space = {
      columnsWord(&JoinColumnsSpec::width, 1),
      threadsWord<JoinColumnsSpec>(itemColumns<JoinColumnsSpec>)};
  return space;
}

/// A selection is the work of one warp: its rounds then need no barrier.
const Space<GateTopkSpec> &sm90aSpace(const GateTopkSpec *) {
  using F = Facts<GateTopkSpec>;
  static const Space<GateTopkSpec> space = {
      {.name = "threads",
       .meaning = "threads of a CTA",
       .bits = Bits::order,
       .inBody = false,
       .rule = [](const F &) -> Value { return int64_t(32); },
       .values = [](const F &) { return numbers({32}); }}};
  return space;
}

} // namespace hadal::schedule
