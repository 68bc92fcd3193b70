// Dispatch and return of routed rows on one rank: moe_permute, moe_combine.
#include "compiler/kernels/KernelBuilder.h"
#include "compiler/kernels/KernelName.h"

namespace hadal::kernels {

using mlir::RankedTensorType;
using mlir::arith::CmpIPredicate;

//===----------------------------------------------------------------------===//
// moe_permute
//===----------------------------------------------------------------------===//

std::string kernelName(const MoePermuteSpec &spec) {
  return KernelName("moe_permute", spec)
      .number("e", spec.experts)
      .number("k", spec.topk)
      .number("t", spec.tokens)
      .str();
}

/// Assignments per step (about).
static constexpr int64_t kAssignments = 64;

tile::KernelOp buildMoePermute(OpBuilder &builder, Location loc,
                               StringRef name, const MoePermuteSpec &spec) {
  KernelBuilder k(builder, loc, name, spec);
  if (!k.require(spec.experts > 0 && spec.topk > 0 && spec.tokens > 0,
                 "needs positive shapes"))
    return {};
  int64_t experts = spec.experts, topk = spec.topk;
  int64_t tokens = std::min(std::max<int64_t>(kAssignments / topk, 1),
                            spec.tokens);
  int64_t count = tokens * topk;
  unsigned ids = k.arg("ids", k.view({-1, topk}, k.i32()));
  unsigned rowToken = k.arg("row_token", k.view({-1, 1}, k.i32()));
  unsigned pos = k.arg("pos", k.view({-1, topk}, k.i32()));
  unsigned load = k.arg("expert_load", k.view({experts}, k.i32()));
  k.dim(1, 1);
  k.word("bm", tokens);
  k.begin();

  Value zero = k.index(0), numTokens = k.size(tile::SizeName::Tokens);
  SmallVector<int64_t> table{count, experts};
  // One row per assignment (token by token): 1 at its expert. Rows of padding
  // tokens are all 0.
  auto oneHot = [&](Value t) {
    Value id = k.reshape(k.load(k[ids], {t, zero}, {tokens, topk}), {count, 1});
    Value left = k.mulIndex(k.sub(numTokens, t), topk);
    Value exists = k.cmpi(CmpIPredicate::slt, k.iota({count, 1}, 0),
                          k.splat(left, {count, 1}));
    id = k.select(exists, id, k.constantI32({count, 1}, -1));
    Value hit = k.cmpi(CmpIPredicate::eq, k.iota(table, 1), id);
    return Value(mlir::arith::ExtUIOp::create(
        k.b, k.loc, RankedTensorType::get(table, k.i32()), hit));
  };
  auto addStates = [&](OpBuilder &, Location, ValueRange a,
                       ValueRange c) -> SmallVector<Value> {
    return {k.addi(a[0], c[0])};
  };
  Value none = k.constantI32({1, experts}, 0);
  auto counts = tile::FoldOp::create(
      k.b, k.loc, zero, numTokens, tokens, none,
      [&](OpBuilder &, Location, Value t,
          ValueRange state) -> SmallVector<Value> {
        return {k.addi(state[0],
                       k.reduce(tile::ReduceKind::Add, oneHot(t), 0))};
      },
      addStates);
  Value perExpert = counts.getResult(0);
  Value begin = tile::ScanOp::create(k.b, k.loc, perExpert, 1);
  Value total = k.reduce(tile::ReduceKind::Add, perExpert, 1);
  tile::StoreSizeOp::create(
      k.b, k.loc, k.sizes(),
      k.reshape(k.concat({begin, total}, 1), {experts + 1}));
  tile::ReduceIntoOp::create(k.b, k.loc, k[load], zero,
                             k.reshape(perExpert, {experts}));

  // A second pass places each assignment behind the earlier ones of its
  // expert. It writes as it goes, so its order is the order of tokens and no
  // schedule splits it.
  tile::FoldOp::create(
      k.b, k.loc, zero, numTokens, tokens, none,
      [&](OpBuilder &, Location, Value t,
          ValueRange state) -> SmallVector<Value> {
        Value hot = oneHot(t);
        Value before = tile::ScanOp::create(k.b, k.loc, hot, 0);
        Value place = k.addi(before, k.addi(begin, state[0]));
        // One more than the place, and 0 where there is no expert.
        Value next = k.reduce(
            tile::ReduceKind::Add,
            k.muli(hot, k.addi(place, k.constantI32(table, 1))), 1);
        Value where = k.subi(next, k.constantI32({count, 1}, 1));
        k.store(k[pos], {t, zero}, k.reshape(where, {tokens, topk}),
                k.sub(numTokens, t));
        Value token = k.broadcast(k.iota({tokens, 1}, 0), {tokens, topk});
        token = k.addi(k.reshape(token, {count, 1}), k.splat(t, {count, 1}));
        Value target = k.rows(k[rowToken], k.reshape(where, {count}));
        k.store(target, {zero, zero}, token);
        return {k.addi(state[0], k.reduce(tile::ReduceKind::Add, hot, 0))};
      },
      addStates);
  return k.end();
}

//===----------------------------------------------------------------------===//
// moe_combine
//===----------------------------------------------------------------------===//

std::string kernelName(const MoeCombineSpec &spec) {
  return KernelName("moe_combine", spec)
      .number("d", spec.hidden)
      .number("k", spec.topk)
      .flag(spec.shared, "shared")
      .str();
}

tile::KernelOp buildMoeCombine(OpBuilder &builder, Location loc,
                               StringRef name, const MoeCombineSpec &spec) {
  KernelBuilder k(builder, loc, name, spec);
  if (!k.require(spec.hidden > 0 && spec.topk > 0, "needs positive shapes"))
    return {};
  unsigned y = k.arg("y", k.actView({-1, spec.hidden})), shared = 0;
  unsigned pos = k.arg("pos", k.view({-1, spec.topk}, k.i32()));
  unsigned weights = k.arg("weights", k.view({-1, spec.topk}, k.f32()));
  if (spec.shared)
    shared = k.arg("shared", k.actView({-1, spec.hidden}));
  unsigned residual = k.arg("residual", k.actView({-1, spec.hidden}));
  unsigned out = k.arg("out", k.actView({-1, spec.hidden}));
  int64_t columns = std::min<int64_t>(spec.hidden, 1024);
  k.dim(-1, 1, tile::Bound::Tokens);
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
