// Dispatch and return of routed rows on one rank: moe_permute, moe_combine.
#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

using mlir::RankedTensorType;
using mlir::arith::CmpIPredicate;

//===----------------------------------------------------------------------===//
// moe_permute
//===----------------------------------------------------------------------===//

// One work item per expert: it counts the assignments of its own and of all
// lower experts, which gives its rows, and then places its own in the order of
// tokens. Experts never exchange anything.
tile::KernelOp buildMoePermute(OpBuilder &builder, Location loc, StringRef name,
                               const MoePermuteSpec &spec,
                               const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.experts > 0 && spec.topk > 0 && spec.tokens > 0,
                 "needs positive shapes"))
    return {};
  int64_t experts = spec.experts, topk = spec.topk;
  int64_t tokens = k.word("bm");
  int64_t count = tokens * topk;
  unsigned ids = k.arg("ids", k.view({-1, topk}, k.i32()));
  unsigned rowToken = k.arg("row_token", k.view({-1, 1}, k.i32()));
  unsigned pos = k.arg("pos", k.view({-1, 1}, k.i32()));
  unsigned load = k.arg("expert_load", k.view({experts}, k.i32()));
  k.dim(experts, 1);
  k.begin();

  Value zero = k.index(0), numTokens = k.numRows();
  Value expert = k.coordinate(0);
  SmallVector<int64_t> row{1, count}, one{1, 1};
  // The ids of a step in the order of assignments, -1 beyond the last token.
  auto loadIds = [&](Value t) {
    Value id = k.reshape(k.load(k[ids], {t, zero}, {tokens, topk}), row);
    Value left = k.mulIndex(k.sub(numTokens, t), topk);
    Value exists =
        k.cmpi(CmpIPredicate::slt, k.iota(row, 1), k.splat(left, row));
    return k.select(exists, id, k.constantI32(row, -1));
  };
  auto asNumber = [&](Value condition) -> Value {
    return mlir::arith::ExtUIOp::create(
        k.b, k.loc, RankedTensorType::get(k.shapeOf(condition), k.i32()),
        condition);
  };
  auto addStates = [&](OpBuilder &, Location, ValueRange a,
                       ValueRange c) -> SmallVector<Value> {
    SmallVector<Value> sums;
    for (auto [x, y] : llvm::zip(a, c))
      sums.push_back(k.addi(x, y));
    return sums;
  };
  Value mine = k.splat(expert, row);
  Value none = k.constantI32(row, 0);
  auto counts = tile::FoldOp::create(
      k.b, k.loc, zero, numTokens, tokens, ValueRange{none, none},
      [&](OpBuilder &, Location, Value t,
          ValueRange state) -> SmallVector<Value> {
        Value id = loadIds(t);
        // Unsigned: an id that names no expert is below none.
        return {
            k.addi(state[0], asNumber(k.cmpi(CmpIPredicate::ult, id, mine))),
            k.addi(state[1], asNumber(k.cmpi(CmpIPredicate::eq, id, mine)))};
      },
      addStates);
  Value begin = k.reduce(tile::ReduceKind::Add, counts.getResult(0), 1);
  Value total = k.reduce(tile::ReduceKind::Add, counts.getResult(1), 1);
  tile::StoreSizeOp::create(k.b, k.loc, k.sizes(),
                            k.reshape(k.addi(begin, total), {1}),
                            k.add(expert, k.index(1)));
  k.ifLess(expert, k.index(1), [&] {
    tile::StoreSizeOp::create(k.b, k.loc, k.sizes(), k.constantI32({1}, 0),
                              Value());
  });
  tile::ReduceIntoOp::create(k.b, k.loc, k[load], expert,
                             k.reshape(total, {1}));

  // A second pass writes as it goes, so its order is the order of tokens and no
  // schedule splits it. Expert 0 also answers for ids that name no expert.
  tile::FoldOp::create(
      k.b, k.loc, zero, numTokens, tokens, begin,
      [&](OpBuilder &, Location, Value t,
          ValueRange state) -> SmallVector<Value> {
        Value id = loadIds(t);
        Value isMine = k.cmpi(CmpIPredicate::eq, id, mine);
        Value hit = asNumber(isMine);
        Value before = tile::ScanOp::create(k.b, k.loc, hit, 1);
        Value nowhere = k.constantI32(row, -1);
        Value where = k.select(isMine, k.addi(before, state[0]), nowhere);
        Value at = k.addi(k.iota(row, 1), k.splat(k.mulIndex(t, topk), row));
        Value isLost =
            k.cmpi(CmpIPredicate::uge, id, k.constantI32(row, experts));
        Value owner = k.select(isLost, k.constantI32(row, 0), id);
        Value exists = k.cmpi(CmpIPredicate::slt, at,
                              k.splat(k.mulIndex(numTokens, topk), row));
        Value answers = mlir::arith::AndIOp::create(
            k.b, k.loc, exists, k.cmpi(CmpIPredicate::eq, owner, mine));
        Value slot = k.select(answers, at, nowhere);
        k.store(k.rows(k[pos], k.reshape(slot, {count})), {zero, zero},
                k.reshape(where, {count, 1}));
        Value token = k.broadcast(k.iota({tokens, 1}, 0), {tokens, topk});
        token = k.addi(k.reshape(token, row), k.splat(t, row));
        k.store(k.rows(k[rowToken], k.reshape(where, {count})), {zero, zero},
                k.reshape(token, {count, 1}));
        return {k.addi(state[0], k.reduce(tile::ReduceKind::Add, hit, 1))};
      },
      addStates);
  return k.end();
}

//===----------------------------------------------------------------------===//
// moe_combine
//===----------------------------------------------------------------------===//

tile::KernelOp buildMoeCombine(OpBuilder &builder, Location loc, StringRef name,
                               const MoeCombineSpec &spec,
                               const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.hidden > 0 && spec.topk > 0, "needs positive shapes"))
    return {};
  unsigned y = k.arg("y", k.actView({-1, spec.hidden})), shared = 0;
  unsigned pos = k.arg("pos", k.view({-1, spec.topk}, k.i32()));
  unsigned weights = k.arg("weights", k.view({-1, spec.topk}, k.f32()));
  if (spec.shared)
    shared = k.arg("shared", k.actView({-1, spec.hidden}));
  unsigned residual = k.arg("residual", k.actView({-1, spec.hidden}));
  unsigned out = k.arg("out", k.actView({-1, spec.hidden}));
  int64_t columns = k.word("columns");
  k.rowDim();
  k.dim(spec.hidden, columns);
  k.begin();

  Value m = k.coordinate(0), n = k.coordinate(1), zero = k.index(0);
  Value sum = k.zeros({1, columns});
  for (int64_t j = 0; j < spec.topk; ++j) {
    Value expert = k.rows(k[y], k.load(k[pos], {m, k.index(j)}, {1}));
    Value row = k.toF32(k.load(expert, {zero, n}, {1, columns}));
    Value weight = k.load(k[weights], {m, k.index(j)}, {1, 1});
    sum = k.addf(sum, k.mulf(row, weight));
  }
  if (spec.shared)
    sum = k.addf(sum, k.toF32(k.load(k[shared], {m, n}, {1, columns})));
  sum = k.addf(k.toF32(k.load(k[residual], {m, n}, {1, columns})), sum);
  k.store(k[out], {m, n}, k.toAct(sum));
  return k.end();
}

} // namespace hadal::kernels
