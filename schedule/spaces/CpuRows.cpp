// The words of the CPU's kernels without a contraction.
#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

using namespace kernels;

const Space<MoePermuteSpec> &cpuSpace(const MoePermuteSpec *) {
  static const Space<MoePermuteSpec> space = {stepTokens<MoePermuteSpec>()};
  return space;
}

/// Of the kernels around the exchange: up to a dozen tiles of a step stay in
/// the first cache.
constexpr int64_t kStepChoices = 512;

const Space<MoeCountSpec> &cpuSpace(const MoeCountSpec *) {
  static const Space<MoeCountSpec> space = {
      stepTokens<MoeCountSpec>(kStepChoices)};
  return space;
}

const Space<MoeRouteSpec> &cpuSpace(const MoeRouteSpec *) {
  static const Space<MoeRouteSpec> space = {
      stepTokens<MoeRouteSpec>(kStepChoices)};
  return space;
}

const Space<MoePackSpec> &cpuSpace(const MoePackSpec *) {
  static const Space<MoePackSpec> space = {
      movedColumns<MoePackSpec>(kScaleGroup)};
  return space;
}

const Space<MoeReceiveSpec> &cpuSpace(const MoeReceiveSpec *) {
  // A step costs what it has room for, so it is a part of a block of which
  // mostly a third is used.
  static const Space<MoeReceiveSpec> space = [] {
    Word<MoeReceiveSpec> word = stepReceived(kStepChoices);
    word.rule = [](const Facts<MoeReceiveSpec> &f) -> Value {
      return std::clamp<int64_t>(
          alignTo(ceilDiv(f.spec.capacity, 3), 8), 8,
          std::max<int64_t>(alignTo(kStepChoices / f.spec.topk, 8), 8));
    };
    return Space<MoeReceiveSpec>{word};
  }();
  return space;
}

const Space<MoeReturnRowsSpec> &cpuSpace(const MoeReturnRowsSpec *) {
  static const Space<MoeReturnRowsSpec> space = {
      movedColumns<MoeReturnRowsSpec>(1)};
  return space;
}

const Space<QuantizeSpec> &cpuSpace(const QuantizeSpec *) {
  static const Space<QuantizeSpec> space = {
      columnsWord(&QuantizeSpec::width, kScaleGroup)};
  return space;
}

const Space<AddSpec> &cpuSpace(const AddSpec *) {
  static const Space<AddSpec> space = {
      columnsWord(&AddSpec::width, kScaleGroup)};
  return space;
}

const Space<SiluMulSpec> &cpuSpace(const SiluMulSpec *) {
  static const Space<SiluMulSpec> space = {
      columnsWord(&SiluMulSpec::width, kScaleGroup)};
  return space;
}

const Space<MoeCombineSpec> &cpuSpace(const MoeCombineSpec *) {
  static const Space<MoeCombineSpec> space = {
      columnsWord(&MoeCombineSpec::hidden, 1)};
  return space;
}

const Space<CopyRowsSpec> &cpuSpace(const CopyRowsSpec *) {
  static const Space<CopyRowsSpec> space = {
      columnsWord(&CopyRowsSpec::width, 1)};
  return space;
}

const Space<JoinColumnsSpec> &cpuSpace(const JoinColumnsSpec *) {
  static const Space<JoinColumnsSpec> space = {
      columnsWord(&JoinColumnsSpec::width, 1)};
  return space;
}

const Space<EmbedSpec> &cpuSpace(const EmbedSpec *) {
  static const Space<EmbedSpec> space;
  return space;
}

const Space<MtpInputSpec> &cpuSpace(const MtpInputSpec *) {
  static const Space<MtpInputSpec> space;
  return space;
}

const Space<NormQuantSpec> &cpuSpace(const NormQuantSpec *) {
  static const Space<NormQuantSpec> space;
  return space;
}

const Space<LatentNormRopeCacheSpec> &
cpuSpace(const LatentNormRopeCacheSpec *) {
  static const Space<LatentNormRopeCacheSpec> space;
  return space;
}

const Space<GateTopkSpec> &cpuSpace(const GateTopkSpec *) {
  static const Space<GateTopkSpec> space;
  return space;
}

} // namespace hadal::schedule
