#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

tile::KernelOp buildLatentNormRopeCache(OpBuilder &builder, Location loc,
                                        StringRef name,
                                        const LatentNormRopeCacheSpec &spec,
                                        const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.latent > 0 && spec.rope > 0 && spec.rope % 2 == 0 &&
                     spec.qLora >= 0 && spec.positions > 0,
                 "needs a latent, an even rotary width and a table") ||
      !k.require(spec.qLora > 0 || !spec.quantize,
                 "quantises the query latent, and has none"))
    return {};
  int64_t row = spec.latent + spec.rope;
  unsigned qNorm = 0, cq = 0;
  unsigned x = k.arg("x", k.actView({-1, spec.qLora + row}));
  if (spec.qLora)
    qNorm = k.constant("q_norm", k.view({spec.qLora}, k.f32()));
  unsigned kvNorm = k.constant("kv_norm", k.view({spec.latent}, k.f32()));
  unsigned cosSin =
      k.constant("cos_sin", k.view({spec.positions, spec.rope}, k.f32()));
  unsigned positions = k.arg("positions", k.view({-1}, k.i32()));
  unsigned slot = k.arg("slot", k.view({-1}, k.b.getI64Type()));
  unsigned cache = k.arg("cache", k.actView({-1, row}));
  if (spec.qLora)
    cq = k.arg("cq", spec.quantize ? k.quantizedView(spec.qLora)
                                   : k.actView({-1, spec.qLora}));
  k.dim(-1, 1, tile::Bound::Tokens);
  k.begin();

  Value m = k.coordinate(0), zero = k.index(0);
  if (spec.qLora) {
    Value q = k.toF32(k.load(k[x], {m, zero}, {1, spec.qLora}));
    Value w = k.load(k[qNorm], zero, {spec.qLora});
    Value normed = k.rmsNorm(q, w, spec.qLora, spec.eps);
    if (!spec.quantize) {
      k.store(k[cq], {m, zero}, k.toAct(normed));
    } else {
      // Whole groups of columns, each with its scale.
      int64_t tail = roundUp(spec.qLora, kGroup) - spec.qLora;
      if (tail)
        normed = k.concat({normed, k.zeros({1, tail})}, 1);
      k.store(k[cq], {m, zero}, k.quantize(normed));
    }
  }
  Value latent =
      k.toF32(k.load(k[x], {m, k.index(spec.qLora)}, {1, spec.latent}));
  Value normed = k.rmsNorm(latent, k.load(k[kvNorm], zero, {spec.latent}),
                           spec.latent, spec.eps);
  Value key = k.toF32(
      k.load(k[x], {m, k.index(spec.qLora + spec.latent)}, {1, spec.rope}));
  Value rotated = k.rope(key, k.loadCosSin(k[cosSin], k[positions], m, 1));
  Value target = k.rows(k[cache], k.load(k[slot], m, {1}));
  k.store(target, {zero, zero}, k.toAct(k.concat({normed, rotated}, 1)));
  return k.end();
}

} // namespace hadal::kernels
