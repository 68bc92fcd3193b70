#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

tile::KernelOp buildMtpInput(OpBuilder &builder, Location loc, StringRef name,
                             const MtpInputSpec &spec,
                             const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.table != Weight::fp8, "an embedding is not FP8") ||
      !k.require(spec.vocab > 0 && spec.hidden > 0, "needs a table"))
    return {};
  const int64_t width = spec.hidden;
  unsigned tokens = k.arg("tokens", k.view({-1}, k.i32()));
  unsigned table =
      k.constant("table", k.weightView(spec.table, spec.vocab, width));
  unsigned enorm = k.constant("enorm", k.view({width}, k.f32()));
  unsigned h = k.arg("h", k.actView({-1, width}));
  unsigned rows = k.arg("rows", k.view({-1}, k.i32()));
  unsigned norm = k.constant("norm", k.view({width}, k.f32()));
  unsigned hnorm = k.constant("hnorm", k.view({width}, k.f32()));
  unsigned y = k.arg("y", k.actView({-1, 2 * width}));
  k.rowDim();
  k.begin();
  Value m = k.coordinate(0), zero = k.index(0);
  auto gather = [&](unsigned from, unsigned indices) {
    Value row = k.rows(k[from], k.load(k[indices], m, {1}));
    return k.toF32(k.load(row, {zero, zero}, {1, width}));
  };
  auto normalise = [&](Value x, unsigned weight) {
    return k.rmsNorm(x, k.load(k[weight], zero, {width}), width, spec.eps);
  };
  k.store(k[y], {m, zero}, k.toAct(normalise(gather(table, tokens), enorm)));
  Value state = normalise(normalise(gather(h, rows), norm), hnorm);
  k.store(k[y], {m, k.index(width)}, k.toAct(state));
  return k.end();
}

} // namespace hadal::kernels
