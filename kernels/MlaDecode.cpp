#include "kernels/KernelBuilder.h"
#include "kernels/KernelName.h"

namespace hadal::kernels {

using mlir::arith::CmpIPredicate;

/// Keys per step; a power of two that divides the chunks of a split.
static constexpr int64_t kKeyTile = 64;
/// Keys of a chunk. The state of a worker's block of rows is C x f32 a row,
/// written once and read once: 8 C bytes for each of its 64 rows. The keys that
/// it reads are 2 (C + dr) bytes each. At 4 x 64 of them the keys outweigh the
/// state, so that a worker with one chunk still mostly reads keys.
static constexpr int64_t kChunk = 4 * kKeyTile;
/// The last worker of a block merges the states alone, at about the time of a
/// key tile for each, so that more workers gain little.
static constexpr int64_t kMaxSplit = 64;

std::string kernelName(const MlaDecodeSpec &spec) {
  KernelName name = KernelName("mla_decode", spec)
                        .number("h", spec.heads)
                        .number("c", spec.latent)
                        .number("r", spec.rope)
                        .number("page", spec.pageSize)
                        .number("s", spec.maxQueries)
                        .real("scale", spec.softmaxScale);
  if (spec.split > 1)
    name.number("chunk", spec.chunk).number("split", spec.split);
  return name.str();
}

/// Query rows per tile, at most 64: whole tokens, or a divisor of a token's
/// heads, so that the position of a row is a load and not a gather.
static int64_t pickQueryRows(const MlaDecodeSpec &spec) {
  if (spec.heads <= 64)
    return spec.heads * std::min(spec.maxQueries, 64 / spec.heads);
  for (int64_t rows = 64; rows > 1; --rows)
    if (spec.heads % rows == 0)
      return rows;
  return 1;
}

void splitKeys(MlaDecodeSpec &spec, int64_t rows, int64_t maxKeys,
               int64_t workers) {
  int64_t bm = pickQueryRows(spec);
  int64_t blocks = rows * ((spec.maxQueries * spec.heads + bm - 1) / bm);
  int64_t chunks = (maxKeys + kChunk - 1) / kChunk;
  spec.split = std::min({workers / blocks, chunks, kMaxSplit});
  spec.chunk = kChunk;
  if (spec.split <= 1) {
    spec.split = 1;
    spec.chunk = 0;
  }
}

tile::KernelOp buildMlaDecode(OpBuilder &builder, Location loc, StringRef name,
                              const MlaDecodeSpec &spec) {
  KernelBuilder k(builder, loc, name, spec);
  if (!k.require(spec.heads > 0 && spec.latent > 0 && spec.rope > 0 &&
                     spec.pageSize > 0 && spec.maxQueries > 0,
                 "needs positive shapes") ||
      !k.require(spec.split == 1 ||
                     (spec.split > 1 && spec.chunk > 0 &&
                      spec.chunk % kKeyTile == 0),
                 "splits keys into chunks of whole steps of 64 only"))
    return {};
  int64_t width = spec.latent + spec.rope, bm = pickQueryRows(spec);
  unsigned q = k.arg("q", k.actView({-1, width}));
  unsigned pool = k.arg("pool", k.actView({-1, spec.pageSize, width}));
  unsigned table = k.arg("page_table", k.view({-1, -1}, k.i32()));
  unsigned qStart = k.arg("q_start", k.view({-1}, k.i32()));
  unsigned kvLen = k.arg("kv_len", k.view({-1}, k.i32()));
  unsigned positions = k.arg("positions", k.view({-1}, k.i32()));
  unsigned o = k.arg("o", k.actView({-1, spec.latent}));
  k.dim(-1, 1, tile::Bound::Rows);
  k.dim(spec.maxQueries * spec.heads, bm);
  k.word("bm", bm);
  k.word("bn", kKeyTile);
  if (spec.split > 1) {
    k.word("chunk", spec.chunk);
    k.word("split", spec.split);
  }
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
    position = k.broadcast(k.reshape(position, {tokens, 1}),
                           {tokens, bm / tokens});
    Value visible = k.addi(k.reshape(position, {bm, 1}),
                           k.constantI32({bm, 1}, 1));
    visible = mlir::arith::MinSIOp::create(k.b, k.loc, visible,
                                           k.splat(length, {bm, 1}));

    Value context = tile::PagedOp::create(k.b, k.loc, k.actView({-1, width}),
                                          k[pool], k[table], r, length);
    SoftmaxState init = softmaxInit(k, bm, spec.latent);
    auto fold = tile::FoldOp::create(
        k.b, k.loc, zero, length, kKeyTile, {init.max, init.sum, init.acc},
        [&](OpBuilder &, Location, Value t,
            ValueRange state) -> SmallVector<Value> {
          Value key = k.load(context, {t, zero}, {kKeyTile, width});
          Value scores = k.mulf(
              k.dot(query, key, k.zeros({bm, kKeyTile}), /*transposeB=*/true),
              spec.softmaxScale * kLog2E);
          Value index = k.addi(k.iota({bm, kKeyTile}, 1),
                               k.splat(t, {bm, kKeyTile}));
          Value sees = k.cmpi(CmpIPredicate::slt, index, visible);
          scores = k.select(
              sees, scores,
              k.constant({bm, kKeyTile},
                         -std::numeric_limits<double>::infinity()));
          // The value is the first columns of the key.
          Value value =
              k.slice(key, {0, 0}, {kKeyTile, spec.latent});
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
