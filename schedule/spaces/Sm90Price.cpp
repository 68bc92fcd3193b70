// Prices of contractions and of decode attention on sm_90a.
#include "schedule/Price.h"
#include "schedule/spaces/Sm90Fold.h"

namespace hadal::schedule {

using namespace kernels;

namespace {

struct Sm90Price {
  using Result = std::optional<cost::Prediction>;
  const Machine &machine;
  const Words &words;

  template <typename Spec>
  Result contraction(const Facts<Spec> &f, const sm90::Fold &fold) const {
    const int64_t warpgroups = f.number("warpgroups");
    cost::FoldWork work =
        sm90::workOf(*machine.chip, fold, warpgroups, f.number("ctas"));
    work.pipeline = sm90::pipelineOf(fold, warpgroups, f.number("stages"));
    const int64_t split = f.number("split");
    return predictFold(cost::modelOf(*machine.chip), work, split,
                       cost::stepsOfPart(fold.steps, split));
  }

  Result operator()(const GemmSpec &spec) const {
    Facts<GemmSpec> facts{spec, machine.chip, words};
    return contraction(facts, sm90::gemmFold(facts));
  }
  Result operator()(const AbsorbQSpec &spec) const {
    Facts<AbsorbQSpec> facts{spec, machine.chip, words};
    return contraction(facts, sm90::absorbQFold(facts));
  }
  Result operator()(const AbsorbVSpec &spec) const {
    Facts<AbsorbVSpec> facts{spec, machine.chip, words};
    return contraction(facts, sm90::absorbVFold(facts));
  }

  /// A fold over key tiles of 64: its items are the blocks of query rows, which
  /// read the keys of a sequence together.
  Result operator()(const MlaDecodeSpec &spec) const {
    if (spec.rows == 0 || spec.maxKeys == 0)
      return std::nullopt;
    Facts<MlaDecodeSpec> f{spec, machine.chip, words};
    const int64_t bm = f.number("bm"), split = f.number("split");
    const int64_t chunk = f.number("chunk");
    const int64_t blocks = ceilDiv(spec.maxQueries * spec.heads, bm);
    const int64_t chunks = ceilDiv(spec.maxKeys, chunk);
    constexpr int64_t kKeys = 64;
    const auto width = static_cast<double>(spec.latent + spec.rope);
    const auto values = static_cast<double>(spec.latent);
    const double bytes = kKeys * width * 2;
    cost::FoldWork work = {};
    work.items = spec.rows * blocks;
    work.ctasPerMultiprocessor = 1;
    work.steps = ceilDiv(spec.maxKeys, kKeys);
    work.parameterBytesPerStep = bytes;
    work.stateBytes = work.stateSize = bm * spec.latent * 4;
    cost::StepPipeline pipeline = {};
    // Products of bf16: 64 x 64 x (keys' width + values' width), 2048 a clock.
    pipeline.tensorClocks = static_cast<double>(ceilDiv(bm, 64)) * 64 * kKeys *
                            (width + values) / 2048;
    pipeline.warpgroups = f.number("warpgroups");
    pipeline.stages = f.number("stages");
    pipeline.outputBytes = static_cast<double>(bm) * values * 2;
    pipeline.readers = static_cast<double>(blocks);
    work.pipeline = pipeline;
    const int64_t partSteps = ceilDiv(chunks, split) * ceilDiv(chunk, kKeys);
    return predictFold(cost::modelOf(*machine.chip), work,
                       std::min(split, chunks), partSteps);
  }

  template <typename Spec> Result operator()(const Spec &) const {
    return std::nullopt;
  }
};

} // namespace

std::optional<cost::Prediction>
sm90aPrice(const AnySpec &spec, const Machine &machine, const Words &words) {
  return std::visit(Sm90Price{machine, words}, spec);
}

} // namespace hadal::schedule
