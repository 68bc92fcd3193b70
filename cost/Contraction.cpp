#include "cost/Contraction.h"

#include <algorithm>
#include <cmath>

namespace hadal::cost {

int64_t stepsOfPart(int64_t steps, int64_t split) {
  return (steps + split - 1) / split;
}

namespace {

/// Seconds of one CTA's part, alone on a multiprocessor.
struct Part {
  double stream, tensor, issue, latency;
};

Part partOf(const ChipModel &model, const FoldWork &work, double steps) {
  const nvptx::Chip &chip = model.chip;
  const double stream = model.streamPerClock * chip.clock;
  const double parameters = steps * work.parameterBytesPerStep;
  const double activations = steps * work.activationBytesPerStep;
  if (!work.pipeline)
    return {(parameters + activations) / stream,
            steps * work.flopsPerStep * chip.multiprocessors / work.flopRate, 0,
            0};
  const StepPipeline &pipeline = *work.pipeline;
  const double l2 = model.l2PerClock * chip.clock / chip.multiprocessors;
  // What another item has brought already comes from L2.
  const double first = parameters / pipeline.readers;
  // The FMAs of one warpgroup wait for its own products.
  const double exposed =
      pipeline.warpgroups > 1 ? double(model.exposedPromotion) : 1.0;
  return {
      std::max(first / stream, (activations + parameters - first) / l2),
      steps * std::max(pipeline.tensorClocks, pipeline.feedClocks) / chip.clock,
      steps * exposed * pipeline.promotionClocks / chip.clock,
      steps * model.memoryLatency / std::max<double>(pipeline.stages - 1, 1)};
}

} // namespace

// CTAs run in waves of one or two per multiprocessor, whose shared memory is
// full of their rings. A wave takes as long as the slowest of: what the fullest
// multiprocessor draws, its products, the way of its loads through the ring,
// and the parameters of all CTAs at the memory's rate. With few rows nearly all
// bytes are weights, and each is read by one CTA only: few tiles leave
// multiprocessors idle and are bound by the first, which parts divide; what
// they cost is their meeting, in which the last CTA reads the states of all.
Prediction predictFold(const ChipModel &model, const FoldWork &work,
                       int64_t parts, int64_t partSteps) {
  const nvptx::Chip &chip = model.chip;
  const double slots =
      static_cast<double>(chip.multiprocessors) * work.ctasPerMultiprocessor;
  const Part part = partOf(model, work, partSteps);
  const double memoryRate =
      chip.memoryRate * (work.pipeline ? double(model.memoryShare) : 1.0);
  const double readers = work.pipeline ? work.pipeline->readers : 1;
  Prediction predicted;
  auto waves = [&](double count, double ctas) {
    if (count == 0 || ctas == 0)
      return;
    const double resident = std::ceil(ctas / chip.multiprocessors);
    const double memory =
        ctas * partSteps * work.parameterBytesPerStep / (readers * memoryRate);
    const double stream = resident * part.stream;
    const double products = resident * (part.tensor + part.issue);
    predicted.add(Term::ramp, count * model.ramp);
    const double most = std::max({memory, stream, products, part.latency});
    if (most == memory) {
      predicted.add(Term::memory, count * memory);
    } else if (most == stream) {
      predicted.add(Term::stream, count * stream);
    } else if (most == products) {
      predicted.add(Term::tensor, count * resident * part.tensor);
      predicted.add(Term::issue, count * resident * part.issue);
    } else {
      predicted.add(Term::latency, count * part.latency);
    }
  };
  const double ctas = static_cast<double>(work.items) * parts;
  const double full = std::floor(ctas / slots);
  waves(full, slots);
  waves(1, ctas - full * slots);
  if (parts > 1)
    predicted.add(Term::meet,
                  model.meet + (parts + 1) * work.stateBytes /
                                   (model.streamPerClock * chip.clock));
  if (work.pipeline) {
    predicted.add(Term::launch, model.launch);
    predicted.add(Term::epilogue, static_cast<double>(work.items) *
                                      work.pipeline->outputBytes /
                                      (model.l2PerClock * chip.clock));
  }
  return predicted;
}

int64_t pickSplit(const ChipModel &model, const FoldWork &work) {
  int64_t best = 1;
  double least = 0.95 * predictFold(model, work, 1, work.steps).seconds;
  for (int64_t split = 2; split <= std::min(work.steps, kMostParts); ++split) {
    int64_t partSteps = stepsOfPart(work.steps, split);
    // Cut another way, the same parts have been tried.
    if (stepsOfPart(work.steps, split - 1) == partSteps)
      continue;
    int64_t parts = (work.steps + partSteps - 1) / partSteps;
    if (static_cast<uint64_t>(work.items * parts * work.stateSize) >
        model.chip.l2Bytes / 2)
      break;
    double seconds = predictFold(model, work, parts, partSteps).seconds;
    if (seconds < least) {
      least = seconds;
      best = parts;
    }
  }
  return best;
}

} // namespace hadal::cost
