#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

tile::KernelOp buildEmbed(OpBuilder &builder, Location loc, StringRef name,
                          const EmbedSpec &spec,
                          const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.table != Weight::fp8, "an embedding is not FP8") ||
      !k.require(spec.vocab > 0 && spec.hidden > 0, "needs a table"))
    return {};
  unsigned tokens = k.arg("tokens", k.view({-1}, k.i32()));
  unsigned table =
      k.constant("table", k.weightView(spec.table, spec.vocab, spec.hidden));
  unsigned h = k.arg("h", k.actView({-1, spec.hidden}));
  k.rowDim();
  k.begin();
  Value m = k.coordinate(0), zero = k.index(0);
  Value row = k.rows(k[table], k.load(k[tokens], m, {1}));
  Value x = k.load(row, {zero, zero}, {1, spec.hidden});
  k.store(k[h], {m, zero}, k.toElement(x, k.act()));
  return k.end();
}

} // namespace hadal::kernels
