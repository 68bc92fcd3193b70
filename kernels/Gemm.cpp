#include <numeric>

#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

static bool verifySpec(KernelBuilder &k, const GemmSpec &spec) {
  bool ropes = spec.epilogue == Epilogue::rope;
  return k.require(spec.n > 0 && spec.k > 0 && spec.rows > 0,
                   "needs n, k and rows") &&
         k.require(!spec.quantizedInput || spec.weight == Weight::fp8,
                   "a quantised input needs an FP8 weight") &&
         k.require(spec.experts == 0 || spec.segmentRows == 0,
                   "an expert stack has no segments") &&
         k.require(spec.experts > 0 || !spec.gather,
                   "only a grouped GEMM gathers rows") &&
         k.require(spec.experts == 0 || !spec.logitRows,
                   "a grouped GEMM is bounded by its experts' rows") &&
         k.require(!ropes || (spec.headDim > 0 && spec.n % spec.headDim == 0),
                   "the RoPE epilogue needs whole heads") &&
         k.require(!ropes ||
                       (spec.ropeDim > 0 && spec.ropeDim % 2 == 0 &&
                        spec.ropeDim <= spec.headDim && spec.positions > 0),
                   "the RoPE epilogue needs an even rotary width in the head "
                   "and a table") &&
         k.require(spec.epilogue != Epilogue::swigluQuantize || !spec.f32Output,
                   "a quantised output is not f32") &&
         k.require(spec.experts == 0 || spec.epilogue == Epilogue::none ||
                       spec.epilogue == Epilogue::swiglu ||
                       spec.epilogue == Epilogue::swigluQuantize,
                   "a grouped GEMM has no residual and no RoPE");
}

/// Rotates the last ropeDim columns of a tile that holds one head.
static Value rotateHead(KernelBuilder &k, const GemmSpec &spec, Value acc,
                        Value cosSin) {
  int64_t bm = k.extent(acc, 0), plain = spec.headDim - spec.ropeDim;
  Value rotated = k.rope(k.slice(acc, {0, plain}, {bm, spec.ropeDim}), cosSin);
  if (plain == 0)
    return rotated;
  return k.concat({k.slice(acc, {0, 0}, {bm, plain}), rotated}, 1);
}

tile::KernelOp buildGemm(OpBuilder &builder, Location loc, StringRef name,
                         const GemmSpec &spec,
                         const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!verifySpec(k, spec))
    return {};
  int64_t bm = k.word("bm"), bn = k.word("bn"), bk = k.word("bk");
  bool grouped = spec.experts > 0;
  bool gated = spec.epilogue == Epilogue::swiglu ||
               spec.epilogue == Epilogue::swigluQuantize;

  unsigned rowToken = 0, wUp = 0, cosSin = 0, positions = 0, residual = 0;
  unsigned x = k.arg("x", spec.quantizedInput ? k.quantizedView(spec.k)
                                              : k.actView({-1, spec.k}));
  if (spec.gather)
    rowToken = k.arg("row_token", k.view({-1}, k.i32()));
  tile::ViewType weight =
      k.weightView(spec.weight, spec.n, spec.k, spec.experts, spec.segmentRows);
  unsigned w = k.constant("w", weight);
  if (gated)
    wUp = k.constant("w_up", weight);
  if (spec.epilogue == Epilogue::rope) {
    cosSin = k.constant("cos_sin", k.view({spec.positions, spec.ropeDim}, k.f32()));
    positions = k.arg("positions", k.view({-1}, k.i32()));
  }
  if (spec.epilogue == Epilogue::residual)
    residual = k.arg("residual", k.actView({-1, spec.n}));
  unsigned y = k.arg("y", spec.epilogue == Epilogue::swigluQuantize
                              ? k.quantizedView(spec.n)
                          : spec.f32Output ? k.view({-1, spec.n}, k.f32())
                                           : k.actView({-1, spec.n}));

  tile::Bound rows =
      spec.logitRows ? tile::Bound::LogitRows : k.rowBound();
  if (grouped) {
    k.dim(-1, bm, tile::Bound::ExpertRows, /*boundDim=*/1);
    k.dim(spec.experts, 1);
  } else {
    k.dim(-1, bm, rows);
  }
  k.dim(spec.n, bn);
  k.begin();

  // Rows of the tile that exist, and the first row in x and y.
  Value m = k.coordinate(0), n = k.coordinate(grouped ? 2 : 1),
        zero = k.index(0), row = m, left;
  if (grouped) {
    Value expert = k.coordinate(1);
    Value begin = k.size(tile::SizeName::ExpertBegin, expert);
    Value end = k.size(tile::SizeName::ExpertBegin, k.add(expert, k.index(1)));
    row = k.add(begin, m);
    left = k.sub(end, row);
  } else if (bm > 1) {
    left = k.sub(k.size(tile::sizeNameOf(rows)), m);
  }

  Value source = k[x], sourceRow = row;
  if (spec.gather) {
    // A row beyond the expert's is padding, whatever row_token holds there.
    Value exists = k.cmpi(mlir::arith::CmpIPredicate::slt, k.iota({bm}, 0),
                          k.splat(left, {bm}));
    Value token = k.load(k[rowToken], row, {bm});
    source = k.rows(k[x], k.select(exists, token, k.constantI32({bm}, -1)));
    sourceRow = zero;
  }

  // A tile starts at a multiple of bn, so scales of blocks repeat every
  // gcd(bn, 128) rows.
  int64_t scaleRows =
      spec.weight == Weight::int4 ? bn : bn / std::gcd(bn, kGroup);
  auto loadWeight = [&](unsigned handle, Value kk) {
    SmallVector<Value> at{n, kk};
    if (grouped)
      at.insert(at.begin(), k.coordinate(1));
    return k.loadScaled(k[handle], at, {bn, bk}, scaleRows);
  };
  SmallVector<SmallVector<int64_t>> states(gated ? 2 : 1, {bm, bn});
  SmallVector<Value> acc = k.foldSum(
      zero, k.index(spec.k), bk, states, [&](Value kk, ValueRange state) {
        Scaled a = k.loadScaled(source, {sourceRow, kk}, {bm, bk}, bm);
        SmallVector<Value> next{k.dotWeight(a, loadWeight(w, kk), state[0])};
        if (gated)
          next.push_back(k.dotWeight(a, loadWeight(wUp, kk), state[1]));
        return next;
      });

  Value result = acc[0];
  switch (spec.epilogue) {
  case Epilogue::none:
    break;
  case Epilogue::residual:
    result = k.addf(k.toF32(k.load(k[residual], {row, n}, {bm, bn})), result);
    break;
  case Epilogue::rope:
    result = rotateHead(k, spec, result,
                        k.loadCosSin(k[cosSin], k[positions], m, bm));
    break;
  case Epilogue::swiglu:
  case Epilogue::swigluQuantize:
    result = k.mulf(k.silu(result), acc[1]);
    break;
  }
  if (spec.epilogue == Epilogue::swigluQuantize)
    k.store(k[y], {row, n}, k.quantize(result), left);
  else
    k.store(k[y], {row, n}, spec.f32Output ? result : k.toAct(result), left);
  return k.end();
}

} // namespace hadal::kernels
