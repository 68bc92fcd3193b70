#include "kernels/KernelWork.h"

#include <algorithm>
#include <cmath>

namespace hadal::kernels {

namespace {

/// Bytes of an element.
double of(Act act) { return act == Act::bf16 ? 2 : 4; }
double of(Weight weight) {
  switch (weight) {
  case Weight::int4:
    return 0.5 + 2.0 / 32; // with its part of a scale
  case Weight::fp8:
    return 1;
  case Weight::bf16:
    return 2;
  case Weight::f32:
    return 4;
  }
  return 0;
}
/// A code and its part of a scale of 128.
constexpr double kQuantized = 1 + 4.0 / 128;
constexpr double kIndex = 4;

double d(int64_t value) { return static_cast<double>(value); }

struct WorkVisitor {
  const StepBatch &b;

  LaunchWork operator()(const EmbedSpec &s) const {
    return {b.slice * d(s.hidden) * (of(s.table) + of(s.act)), 0, false};
  }
  LaunchWork operator()(const MtpInputSpec &s) const {
    return {b.tokens * d(s.hidden) * (of(s.table) + 3 * of(s.act)), 0, false};
  }
  LaunchWork operator()(const NormQuantSpec &s) const {
    const double a = of(s.act);
    const double delta = s.delta ? a + (s.f32Delta ? 4 : a) : 0;
    const double element = a + delta + (s.emitAct ? a : 0) +
                           (s.quantize ? kQuantized : 0);
    return {(s.gather ? b.logitRows : b.slice) * d(s.width) * element, 0,
            false};
  }
  LaunchWork operator()(const QuantizeSpec &s) const {
    return {b.slice * d(s.width) * (of(s.act) + kQuantized), 0, false};
  }
  LaunchWork operator()(const AddSpec &s) const {
    const double addend = s.f32Addend ? 4 : of(s.act);
    return {b.slice * d(s.width) * (2 * of(s.act) + addend), 0, false};
  }
  LaunchWork operator()(const SiluMulSpec &s) const {
    return {b.slice * d(s.width) * 3 * of(s.act), 0, false};
  }

  LaunchWork operator()(const GemmSpec &s) const {
    const bool twoWeights = s.epilogue == Epilogue::swiglu ||
                            s.epilogue == Epilogue::swigluQuantize;
    const double matrix = d(s.n) * d(s.k) * (twoWeights ? 2 : 1);
    double rows = s.logitRows ? b.logitRows
                              : std::min(s.slice ? b.slice : b.tokens,
                                         d(s.rows));
    double matrices = 1;
    if (s.experts > 0) {
      rows = b.pairs;
      // Experts that have a row at all.
      matrices = d(s.experts) * (1 - std::pow(1 - 1 / d(s.experts), rows));
    }
    const double in = s.quantizedInput ? kQuantized : of(s.act);
    double out = s.f32Output ? 4 : of(s.act);
    if (s.epilogue == Epilogue::swigluQuantize)
      out = kQuantized;
    if (s.epilogue == Epilogue::residual)
      out += of(s.act);
    return {matrices * matrix * of(s.weight) +
                rows * (d(s.k) * in + d(s.n) * out),
            2 * rows * matrix, s.weight == Weight::fp8 && s.quantizedInput};
  }

  LaunchWork operator()(const LatentNormRopeCacheSpec &s) const {
    const double a = of(s.act);
    return {b.tokens * (d(s.qLora) * (a + (s.quantize ? kQuantized : a)) +
                        d(s.latent + s.rope) * 2 * a),
            0, false};
  }
  LaunchWork operator()(const AbsorbQSpec &s) const {
    const double matrix = d(s.heads) * d(s.nope) * d(s.latent);
    const double row = d(s.heads) * d(s.nope + 2 * s.rope + s.latent);
    return {matrix * of(s.weight) + b.tokens * row * of(s.act),
            2 * b.tokens * matrix, false};
  }
  LaunchWork operator()(const AbsorbVSpec &s) const {
    const double matrix = d(s.heads) * d(s.value) * d(s.latent);
    const double out = s.quantize ? kQuantized : of(s.act);
    return {matrix * of(s.weight) +
                b.tokens * d(s.heads) *
                    (d(s.latent) * of(s.act) + d(s.value) * out),
            2 * b.tokens * matrix, false};
  }
  LaunchWork operator()(const MlaDecodeSpec &s) const {
    const double width = d(s.latent + s.rope);
    return {of(s.act) * (b.sequences * b.context * width +
                         b.tokens * d(s.heads) * (width + d(s.latent))),
            2 * b.tokens * d(s.heads) * b.context * (width + d(s.latent)),
            false};
  }
  LaunchWork operator()(const MlaPrefillSpec &s) const {
    const double keys = b.sequences * b.context;
    const double queries = b.sequences > 0 ? b.tokens / b.sequences : 0;
    // A query sees the keys before it.
    const double visible = std::max(b.context - queries / 2, 1.0);
    const double matrix = d(s.heads) * d(s.nope + s.value) * d(s.latent);
    const double out = s.quantize ? kQuantized : of(s.act);
    return {matrix * of(s.weight) +
                of(s.act) * (keys * d(s.latent + s.rope) +
                             b.tokens * d(s.heads) * d(s.nope + s.rope)) +
                b.tokens * d(s.heads) * d(s.value) * out,
            2 * keys * matrix + 2 * b.tokens * d(s.heads) * visible *
                                    d(s.nope + s.rope + s.value),
            false};
  }

  LaunchWork operator()(const GateTopkSpec &s) const {
    return {b.slice * (d(s.experts) * 4 + d(s.topk) * 2 * kIndex), 0, false};
  }
  LaunchWork operator()(const MoePermuteSpec &s) const {
    return {b.slice * d(s.topk) * 3 * kIndex, 0, false};
  }
  LaunchWork operator()(const MoeCombineSpec &s) const {
    const double rows = d(s.topk) + (s.shared ? 1 : 0) + 2;
    return {b.slice * d(s.hidden) * rows * of(s.act), 0, false};
  }
  LaunchWork operator()(const MoeCountSpec &s) const {
    return {b.slice * d(s.topk) * kIndex, 0, false};
  }
  LaunchWork operator()(const MoeRouteSpec &s) const {
    // Every rank's item reads all ids.
    return {kIndex * (d(s.ranks) * b.slice * d(s.topk) +
                      d(s.ranks) * d(s.capacity) * (1 + d(metaWords(s.topk)))),
            0, false};
  }
  LaunchWork operator()(const MoePackSpec &s) const {
    return {b.sentRows * d(s.hidden) * 2 *
                (s.quantized ? kQuantized : of(s.act)),
            0, false};
  }
  LaunchWork operator()(const MoeReceiveSpec &s) const {
    // Every slot's item reads the records of all that arrived.
    return {kIndex *
                (d(s.slots) * b.sentRows * d(metaWords(s.topk)) + 2 * b.pairs),
            0, false};
  }
  LaunchWork operator()(const MoeReturnRowsSpec &s) const {
    return {b.pairs * d(s.hidden) * 2 * of(s.act), 0, false};
  }

  LaunchWork operator()(const CopyRowsSpec &s) const {
    const double element = s.element == Moved::act ? of(s.act) : 4;
    return {(s.slice ? b.slice : b.tokens) * d(s.width) * 2 * element, 0,
            false};
  }
  LaunchWork operator()(const JoinColumnsSpec &s) const {
    return {b.logitRows * d(s.ranks) * d(s.width) * 2 * 4, 0, false};
  }
};

} // namespace

LaunchWork workOf(const AnySpec &spec, const StepBatch &batch) {
  return std::visit(WorkVisitor{batch}, spec);
}

bool isOfExperts(const AnySpec &spec) {
  if (const auto *gemm = std::get_if<GemmSpec>(&spec))
    return gemm->experts > 0;
  return std::holds_alternative<MoeReturnRowsSpec>(spec);
}

} // namespace hadal::kernels
