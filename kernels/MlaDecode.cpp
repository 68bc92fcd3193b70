#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

using mlir::arith::CmpIPredicate;

tile::KernelOp buildMlaDecode(OpBuilder &builder, Location loc, StringRef name,
                              const MlaDecodeSpec &spec,
                              const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.heads > 0 && spec.latent > 0 && spec.rope > 0 &&
                     spec.pageSize > 0 && spec.maxQueries > 0,
                 "needs positive shapes"))
    return {};
  int64_t width = spec.latent + spec.rope, bm = k.word("bm"),
          keys = k.word("bn");
  unsigned q = k.arg("q", k.actView({-1, width}));
  unsigned pool = k.arg("pool", k.actView({-1, spec.pageSize, width}));
  unsigned table = k.arg("page_table", k.view({-1, -1}, k.i32()));
  unsigned qStart = k.arg("q_start", k.view({-1}, k.i32()));
  unsigned kvLen = k.arg("kv_len", k.view({-1}, k.i32()));
  unsigned positions = k.arg("positions", k.view({-1}, k.i32()));
  unsigned o = k.arg("o", k.actView({-1, spec.latent}));
  k.dim(-1, 1, tile::Bound::Rows);
  k.dim(spec.maxQueries * spec.heads, bm);
  k.begin();

  Value r = k.coordinate(0), block = k.coordinate(1), zero = k.index(0);
  Value first = k.read(k[qStart], r);
  Value last = k.read(k[qStart], k.add(r, k.index(1)));
  Value numRows = k.mulIndex(k.sub(last, first), spec.heads);
  k.ifLess(block, numRows, [&] {
    Value row = k.add(k.mulIndex(first, spec.heads), block);
    Value length = k.read(k[kvLen], r);
    Value query = k.load(k[q], {row, zero}, {bm, width});

    // How many keys each row sees: min(position + 1, length).
    Value token = k.add(first, k.divIndex(block, spec.heads));
    int64_t tokens = std::max<int64_t>(bm / spec.heads, 1);
    Value position = k.load(k[positions], token, {tokens});
    position =
        k.broadcast(k.reshape(position, {tokens, 1}), {tokens, bm / tokens});
    Value visible =
        k.addi(k.reshape(position, {bm, 1}), k.constantI32({bm, 1}, 1));
    visible = mlir::arith::MinSIOp::create(k.b, k.loc, visible,
                                           k.splat(length, {bm, 1}));

    Value context = tile::PagedOp::create(k.b, k.loc, k.actView({-1, width}),
                                          k[pool], k[table], r, length);
    SoftmaxState init = softmaxInit(k, bm, spec.latent);
    auto fold = tile::FoldOp::create(
        k.b, k.loc, zero, length, keys, {init.max, init.sum, init.acc},
        [&](OpBuilder &, Location, Value t,
            ValueRange state) -> SmallVector<Value> {
          Value key = k.load(context, {t, zero}, {keys, width});
          Value scores = k.mulf(
              k.dot(query, key, k.zeros({bm, keys}), /*transposeB=*/true),
              spec.softmaxScale * kLog2E);
          Value index = k.addi(k.iota({bm, keys}, 1), k.splat(t, {bm, keys}));
          Value sees = k.cmpi(CmpIPredicate::slt, index, visible);
          scores = k.select(
              sees, scores,
              k.constant({bm, keys}, -std::numeric_limits<double>::infinity()));
          // The value is the first columns of the key.
          Value value = k.slice(key, {0, 0}, {keys, spec.latent});
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
    k.store(k[o], {row, zero}, k.toAct(result), k.sub(numRows, block));
  });
  return k.end();
}

} // namespace hadal::kernels
