#include <numeric>

#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

using mlir::arith::CmpIPredicate;

tile::KernelOp buildMlaPrefill(OpBuilder &builder, Location loc, StringRef name,
                               const MlaPrefillSpec &spec,
                               const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.heads > 0 && spec.nope > 0 && spec.rope > 0 &&
                     spec.value > 0 && spec.latent > 0 && spec.pageSize > 0 &&
                     spec.maxQueries > 0,
                 "needs positive shapes") ||
      !k.require(!spec.quantize || spec.value % kGroup == 0,
                 "quantises heads of whole groups of 128 only") ||
      !k.require(!spec.quantizeLatent || spec.weight == Weight::fp8,
                 "a quantised latent needs an FP8 weight"))
    return {};
  int64_t head = spec.nope + spec.rope, width = spec.latent + spec.rope,
          headRows = spec.nope + spec.value;
  int64_t bm = k.word("bm"), keys = k.word("bn");
  unsigned q = k.arg("q", k.actView({-1, spec.heads * head}));
  unsigned pool = k.arg("pool", k.actView({-1, spec.pageSize, width}));
  unsigned table = k.arg("page_table", k.view({-1, -1}, k.i32()));
  unsigned qStart = k.arg("q_start", k.view({-1}, k.i32()));
  unsigned kvLen = k.arg("kv_len", k.view({-1}, k.i32()));
  unsigned positions = k.arg("positions", k.view({-1}, k.i32()));
  unsigned w = k.constant(
      "wkv_b", k.weightView(spec.weight, spec.heads * headRows, spec.latent));
  unsigned o =
      k.arg("o", spec.quantize ? k.quantizedView(spec.heads * spec.value)
                               : k.actView({-1, spec.heads * spec.value}));
  k.dim(-1, 1, tile::Bound::Rows);
  k.dim(spec.heads, 1);
  k.dim(spec.maxQueries, bm);
  k.begin();

  Value r = k.coordinate(0), h = k.coordinate(1), block = k.coordinate(2),
        zero = k.index(0);
  Value first = k.read(k[qStart], r);
  Value last = k.read(k[qStart], k.add(r, k.index(1)));
  Value numQueries = k.sub(last, first);
  k.ifLess(block, numQueries, [&] {
    Value token = k.add(first, block);
    Value length = k.read(k[kvLen], r);
    Value query = k.load(k[q], {token, k.mulIndex(h, head)}, {bm, head});
    Value position = k.reshape(k.load(k[positions], token, {bm}), {bm, 1});
    Value visible = k.addi(position, k.constantI32({bm, 1}, 1));
    visible = mlir::arith::MinSIOp::create(k.b, k.loc, visible,
                                           k.splat(length, {bm, 1}));
    // Positions ascend inside a sequence: no row sees beyond its last one.
    Value lastToken =
        k.sub(k.minIndex(k.add(token, k.index(bm)), last), k.index(1));
    Value end =
        k.minIndex(k.add(k.read(k[positions], lastToken), k.index(1)), length);

    // The head's W_UK and W_UV, with K in whole scale groups.
    int64_t columns = roundUp(spec.latent, kGroup);
    int64_t group = std::gcd(headRows, spec.nope);
    Value row = k.mulIndex(h, headRows);
    Scaled wk = k.loadScaled(k[w], {row, zero}, {spec.nope, columns},
                             spec.nope / std::gcd(group, kGroup));
    Scaled wv = k.loadScaled(k[w], {k.add(row, k.index(spec.nope)), zero},
                             {spec.value, columns},
                             spec.value / std::gcd(group, kGroup));

    Value context = tile::PagedOp::create(k.b, k.loc, k.actView({-1, width}),
                                          k[pool], k[table], r, length);
    SoftmaxState init = softmaxInit(k, bm, spec.value);
    auto fold = tile::FoldOp::create(
        k.b, k.loc, zero, end, keys, {init.max, init.sum, init.acc},
        [&](OpBuilder &, Location, Value t,
            ValueRange state) -> SmallVector<Value> {
          Value cached = k.load(context, {t, zero}, {keys, width});
          Value latent = k.slice(cached, {0, 0}, {keys, spec.latent});
          Value rotary = k.slice(cached, {0, spec.latent}, {keys, spec.rope});
          if (columns != spec.latent)
            latent = k.concat(
                {latent,
                 k.toElement(k.zeros({keys, columns - spec.latent}), k.act())},
                1);
          Scaled c{latent, {}};
          if (spec.quantizeLatent)
            c = k.quantize(latent);
          Value nope = k.toAct(k.dotWeight(c, wk, k.zeros({keys, spec.nope})));
          Value value =
              k.toAct(k.dotWeight(c, wv, k.zeros({keys, spec.value})));
          Value key = k.concat({nope, rotary}, 1);
          Value scores = k.mulf(
              k.dot(query, key, k.zeros({bm, keys}), /*transposeB=*/true),
              spec.softmaxScale * kLog2E);
          Value index = k.addi(k.iota({bm, keys}, 1), k.splat(t, {bm, keys}));
          Value sees = k.cmpi(CmpIPredicate::slt, index, visible);
          scores = k.select(
              sees, scores,
              k.constant({bm, keys}, -std::numeric_limits<double>::infinity()));
          SoftmaxState next =
              softmaxStep(k, {state[0], state[1], state[2]}, scores, value);
          return {next.max, next.sum, next.acc};
        },
        [&](OpBuilder &, Location, ValueRange a,
            ValueRange c) -> SmallVector<Value> {
          SoftmaxState merged =
              softmaxMerge(k, {a[0], a[1], a[2]}, {c[0], c[1], c[2]});
          return {merged.max, merged.sum, merged.acc};
        });
    Value result = softmaxFinish(
        k, {fold.getResult(0), fold.getResult(1), fold.getResult(2)}, length);
    SmallVector<Value> at{token, k.mulIndex(h, spec.value)};
    Value left = k.sub(numQueries, block);
    if (spec.quantize)
      k.store(k[o], at, k.quantize(result), left);
    else
      k.store(k[o], at, k.toAct(result), left);
  });
  return k.end();
}

} // namespace hadal::kernels
