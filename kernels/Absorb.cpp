// The two halves of wkv_b, absorbed: absorb_q and absorb_v.
#include <numeric>

#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

//===----------------------------------------------------------------------===//
// absorb_q
//===----------------------------------------------------------------------===//

tile::KernelOp buildAbsorbQ(OpBuilder &builder, Location loc, StringRef name,
                            const AbsorbQSpec &spec,
                            const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.heads > 0 && spec.nope > 0 && spec.rope > 0 &&
                     spec.value > 0 && spec.latent > 0 && spec.rows > 0,
                 "needs positive shapes"))
    return {};
  int64_t head = spec.nope + spec.rope, headRows = spec.nope + spec.value,
          outHead = spec.latent + spec.rope;
  int64_t bm = k.word("bm"), bn = k.word("bn"), bk = k.word("bk");
  unsigned q = k.arg("q", k.actView({-1, spec.heads * head}));
  unsigned w = k.constant(
      "wkv_b", k.weightView(spec.weight, spec.heads * headRows, spec.latent));
  unsigned out = k.arg("out", k.actView({-1, spec.heads * outHead}));
  k.dim(-1, bm, tile::Bound::Tokens);
  k.dim(spec.heads, 1);
  k.dim(spec.latent, bn);
  k.begin();

  Value m = k.coordinate(0), h = k.coordinate(1), n = k.coordinate(2), left;
  if (bm > 1)
    left = k.sub(k.size(tile::SizeName::Tokens), m);
  Value qColumn = k.mulIndex(h, head), outColumn = k.mulIndex(h, outHead);

  // q_lat[c] = sum_d q[d] W[d, c]: rows of the weight are the contraction. A
  // step is a few rows, so that their exact f32 values stay in the first cache.
  int64_t group = std::gcd(std::gcd(headRows, bk), kGroup);
  int64_t columns = spec.latent <= kGroup ? 1 : bn / std::gcd(bn, kGroup);
  Value row = k.mulIndex(h, headRows);
  Value acc = k.foldSum(
      k.index(0), k.index(spec.nope), bk, {{bm, bn}},
      [&](Value d, ValueRange state) -> SmallVector<Value> {
        Value a = k.load(k[q], {m, k.add(qColumn, d)}, {bm, bk});
        Scaled b = k.loadScaled(k[w], {k.add(row, d), n}, {bk, bn}, bk / group,
                                columns);
        Value weight = b.tile;
        if (b.scales)
          weight = tile::DequantizeOp::create(
              k.b, k.loc, mlir::RankedTensorType::get({bk, bn}, k.f32()),
              b.tile, b.scales);
        return {k.dot(a, weight, state[0], /*transposeB=*/false)};
      })[0];
  k.store(k[out], {m, k.add(outColumn, n)}, k.toAct(acc), left);

  // The first tile of each head carries its rotary part over.
  k.ifLess(n, k.index(1), [&] {
    Value rotary =
        k.load(k[q], {m, k.add(qColumn, k.index(spec.nope))}, {bm, spec.rope});
    k.store(k[out], {m, k.add(outColumn, k.index(spec.latent))}, rotary, left);
  });
  return k.end();
}

//===----------------------------------------------------------------------===//
// absorb_v
//===----------------------------------------------------------------------===//

tile::KernelOp buildAbsorbV(OpBuilder &builder, Location loc, StringRef name,
                            const AbsorbVSpec &spec,
                            const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.heads > 0 && spec.nope > 0 && spec.value > 0 &&
                     spec.latent > 0 && spec.rows > 0,
                 "needs positive shapes") ||
      !k.require(!spec.quantize || spec.value % kGroup == 0,
                 "quantises heads of whole groups of 128 only"))
    return {};
  int64_t headRows = spec.nope + spec.value;
  int64_t bm = k.word("bm"), bn = k.word("bn"), bk = k.word("bk");
  unsigned oLat = k.arg("o_lat", k.actView({-1, spec.heads * spec.latent}));
  unsigned w = k.constant(
      "wkv_b", k.weightView(spec.weight, spec.heads * headRows, spec.latent));
  unsigned o =
      k.arg("o", spec.quantize ? k.quantizedView(spec.heads * spec.value)
                               : k.actView({-1, spec.heads * spec.value}));
  k.dim(-1, bm, tile::Bound::Tokens);
  k.dim(spec.heads, 1);
  k.dim(spec.value, bn);
  k.begin();

  Value m = k.coordinate(0), h = k.coordinate(1), n = k.coordinate(2);
  Value left;
  if (bm > 1)
    left = k.sub(k.size(tile::SizeName::Tokens), m);
  Value column = k.mulIndex(h, spec.latent);
  Value row = k.add(k.add(k.mulIndex(h, headRows), k.index(spec.nope)), n);
  int64_t group = std::gcd(std::gcd(headRows, spec.nope), std::gcd(bn, kGroup));
  Value acc = k.foldSum(
      k.index(0), k.index(spec.latent), bk, {{bm, bn}},
      [&](Value kk, ValueRange state) -> SmallVector<Value> {
        Value a = k.load(k[oLat], {m, k.add(column, kk)}, {bm, bk});
        Scaled b = k.loadScaled(k[w], {row, kk}, {bn, bk}, bn / group);
        return {k.dotWeight({a, {}}, b, state[0])};
      })[0];
  SmallVector<Value> at{m, k.add(k.mulIndex(h, spec.value), n)};
  if (spec.quantize)
    k.store(k[o], at, k.quantize(acc), left);
  else
    k.store(k[o], at, k.toAct(acc), left);
  return k.end();
}

} // namespace hadal::kernels
