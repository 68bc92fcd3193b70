#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

tile::KernelOp buildNormQuant(OpBuilder &builder, Location loc, StringRef name,
                              const NormQuantSpec &spec,
                              const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.width > 0, "needs a width") ||
      !k.require(!(spec.delta && spec.gather), "gathered rows take no delta") ||
      !k.require(spec.emitAct || spec.quantize, "has no output"))
    return {};
  unsigned x = k.arg("x", k.actView({-1, spec.width})), rows = 0, delta = 0,
           sum = 0, y = 0, q = 0;
  if (spec.gather)
    rows = k.arg("rows", k.view({-1}, k.i32()));
  if (spec.delta)
    delta = k.arg("delta", k.view({-1, spec.width},
                                 spec.f32Delta ? k.f32() : k.act()));
  unsigned w = k.constant("w", k.view({spec.width}, k.f32()));
  if (spec.delta)
    sum = k.arg("sum", k.actView({-1, spec.width}));
  if (spec.emitAct)
    y = k.arg("y", k.actView({-1, spec.width}));
  if (spec.quantize)
    q = k.arg("q", k.quantizedView(spec.width));
  k.dim(-1, 1, spec.gather ? tile::Bound::LogitRows : k.rowBound());
  k.begin();

  // Whole groups of columns, so that each has its scale; beyond the width
  // loads read 0 and stores are dropped.
  int64_t columns = spec.quantize ? roundUp(spec.width, kGroup) : spec.width;
  Value m = k.coordinate(0), zero = k.index(0);
  Value row;
  if (spec.gather)
    row = k.load(k.rows(k[x], k.load(k[rows], m, {1})), {zero, zero},
                 {1, columns});
  else
    row = k.load(k[x], {m, zero}, {1, columns});
  row = k.toF32(row);
  if (spec.delta) {
    row = k.addf(row, k.toF32(k.load(k[delta], {m, zero}, {1, columns})));
    k.store(k[sum], {m, zero}, k.toAct(row));
  }
  Value weight = k.load(k[w], zero, {columns});
  Value normed = k.rmsNorm(row, weight, spec.width, spec.eps);
  if (spec.emitAct)
    k.store(k[y], {m, zero}, k.toAct(normed));
  if (spec.quantize)
    k.store(k[q], {m, zero}, k.quantize(normed));
  return k.end();
}

} // namespace hadal::kernels
