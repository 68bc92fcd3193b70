#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

using mlir::RankedTensorType;
using mlir::arith::CmpIPredicate;

/// The |count| largest of each row.
static tile::TopKOp topk(KernelBuilder &k, Value source, int64_t count) {
  int64_t rows = k.extent(source, 0);
  return tile::TopKOp::create(
      k.b, k.loc, RankedTensorType::get({rows, count}, k.f32()),
      RankedTensorType::get({rows, count}, k.i32()), source);
}

/// |choice| [1, E] with the experts of all but the best groups at -inf.
static Value keepBestGroups(KernelBuilder &k, const GateTopkSpec &spec,
                            Value choice) {
  int64_t groups = spec.groups, size = spec.experts / groups;
  Value grouped = k.reshape(choice, {groups, size});
  int64_t best = spec.groupTop2 ? std::min<int64_t>(2, size) : 1;
  Value score =
      k.reduce(tile::ReduceKind::Add, topk(k, grouped, best).getValues(), 1);
  Value kept =
      topk(k, k.reshape(score, {1, groups}), spec.topkGroups).getIndices();
  // kept[g] = any chosen group is g.
  SmallVector<int64_t> table{spec.topkGroups, groups};
  Value matches = k.cmpi(CmpIPredicate::eq, k.iota(table, 1),
                         k.reshape(kept, {spec.topkGroups, 1}));
  Value hits = mlir::arith::ExtUIOp::create(
      k.b, k.loc, RankedTensorType::get(table, k.i32()), matches);
  Value mask = k.reshape(k.reduce(tile::ReduceKind::Add, hits, 0), {groups, 1});
  mask = k.reshape(k.broadcast(mask, {groups, size}), {1, spec.experts});
  Value included =
      k.cmpi(CmpIPredicate::sgt, mask, k.constantI32({1, spec.experts}, 0));
  return k.select(
      included, choice,
      k.constant({1, spec.experts}, -std::numeric_limits<double>::infinity()));
}

tile::KernelOp buildGateTopk(OpBuilder &builder, Location loc, StringRef name,
                             const GateTopkSpec &spec,
                             const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.experts > 0 && spec.topk > 0 && spec.topk <= spec.experts,
                 "chooses among its experts") ||
      !k.require(spec.groups > 0 && spec.experts % spec.groups == 0,
                 "needs groups of equal size") ||
      !k.require(spec.topkGroups > 0 && spec.topkGroups <= spec.groups,
                 "keeps some of its groups") ||
      !k.require(spec.topk <= spec.topkGroups * (spec.experts / spec.groups),
                 "the kept groups hold fewer experts than are chosen"))
    return {};
  int64_t experts = spec.experts, count = spec.topk;
  unsigned logits = k.arg("logits", k.view({-1, experts}, k.f32())), bias = 0;
  if (spec.bias)
    bias = k.constant("bias", k.view({experts}, k.f32()));
  unsigned ids = k.arg("ids", k.view({-1, count}, k.i32()));
  unsigned weights = k.arg("weights", k.view({-1, count}, k.f32()));
  k.rowDim();
  k.begin();

  Value m = k.coordinate(0), zero = k.index(0);
  Value x = k.load(k[logits], {m, zero}, {1, experts});
  Value scores;
  if (spec.sigmoid) {
    scores = k.sigmoid(x);
  } else {
    Value max = k.reduce(tile::ReduceKind::Max, x, 1);
    Value e = k.exp2(k.mulf(k.subf(x, max), kLog2E));
    scores = k.divf(e, k.reduce(tile::ReduceKind::Add, e, 1));
  }
  // The bias chooses and does not weigh.
  Value choice = scores;
  if (spec.bias)
    choice = k.addf(scores, k.load(k[bias], zero, {experts}));
  if (spec.groups > 1)
    choice = keepBestGroups(k, spec, choice);
  Value chosen = topk(k, choice, count).getIndices();

  SmallVector<int64_t> table{count, experts};
  Value isChosen = k.cmpi(CmpIPredicate::eq, k.iota(table, 1),
                          k.reshape(chosen, {count, 1}));
  Value picked = k.select(isChosen, scores, k.zeros(table));
  Value weight =
      k.reshape(k.reduce(tile::ReduceKind::Add, picked, 1), {1, count});
  if (spec.normalize) {
    Value sum = k.reduce(tile::ReduceKind::Add, weight, 1);
    weight = k.divf(weight, k.addf(sum, k.constant({1, 1}, 1e-20)));
  }
  if (spec.routeScale != 1.0)
    weight = k.mulf(weight, spec.routeScale);
  k.store(k[ids], {m, zero}, chosen);
  k.store(k[weights], {m, zero}, weight);
  return k.end();
}

} // namespace hadal::kernels
