// The kernels around the exchange of rows between ranks: moe_count, moe_route,
// moe_pack, moe_receive, moe_return_rows. Moe.cpp has those of one rank.
#include "kernels/KernelBuilder.h"

namespace hadal::kernels {

using mlir::RankedTensorType;
using mlir::arith::CmpIPredicate;

namespace {

/// The choices of a step of tokens, or of received rows, as one row of numbers
/// [1, rows * topk]. Work items scan it and never exchange anything.
struct Step {
  KernelBuilder &k;
  int64_t rows, topk;
  SmallVector<int64_t> row, column, table; // three shapes of them

  Step(KernelBuilder &k, int64_t rows, int64_t topk)
      : k(k), rows(rows), topk(topk), row({1, rows * topk}),
        column({rows * topk}), table({rows, topk}) {}

  Value constant(int64_t value) { return k.constantI32(row, value); }
  Value flat(Value tile) { return k.reshape(tile, row); }

  /// The number of each choice from that of row |first| on: row * topk +
  /// choice.
  Value numbers(Value first) {
    return k.addi(k.iota(row, 1), k.splat(k.mulIndex(first, topk), row));
  }
  /// Whether a choice is one of a row below |end|.
  Value exists(Value first, Value end) {
    return k.cmpi(CmpIPredicate::slt, numbers(first),
                  k.splat(k.mulIndex(end, topk), row));
  }
  /// Columns |column| .. + topk - 1 of rows |first| on of |view|, -1 for rows
  /// from |end| on.
  Value load(Value view, Value first, int64_t column, Value end) {
    Value values = flat(k.load(view, {first, k.index(column)}, {rows, topk}));
    return k.select(exists(first, end), values, constant(-1));
  }
  /// The row of each choice.
  Value owners(Value first) {
    Value number = k.broadcast(k.iota({rows, 1}, 0), table);
    return k.addi(flat(number), k.splat(first, row));
  }
  /// Writes element i of |values| to row |where|[i] of the single column
  /// |view|; none where that is negative.
  void scatter(Value view, Value where, Value values) {
    Value zero = k.index(0);
    k.store(k.rows(view, k.reshape(where, column)), {zero, zero},
            k.reshape(values, {rows * topk, 1}));
  }
};

Value asNumber(KernelBuilder &k, Value condition) {
  return mlir::arith::ExtUIOp::create(
      k.b, k.loc, RankedTensorType::get(k.shapeOf(condition), k.i32()),
      condition);
}

Value both(KernelBuilder &k, Value a, Value c) {
  return mlir::arith::AndIOp::create(k.b, k.loc, a, c);
}

Value total(KernelBuilder &k, Value tile) {
  return k.reduce(tile::ReduceKind::Add, tile, 1);
}

/// A fold from |lo| to |hi| whose states, all of them counts, add up.
tile::FoldOp
countFold(KernelBuilder &k, Value lo, Value hi, int64_t step, ValueRange inits,
          llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  return tile::FoldOp::create(
      k.b, k.loc, lo, hi, step, inits,
      [&](OpBuilder &, Location, Value at,
          ValueRange state) -> SmallVector<Value> { return body(at, state); },
      [&](OpBuilder &, Location, ValueRange a,
          ValueRange c) -> SmallVector<Value> {
        SmallVector<Value> sums;
        for (auto [x, y] : llvm::zip(a, c))
          sums.push_back(k.addi(x, y));
        return sums;
      });
}

} // namespace

//===----------------------------------------------------------------------===//
// moe_count
//===----------------------------------------------------------------------===//

tile::KernelOp buildMoeCount(OpBuilder &builder, Location loc, StringRef name,
                             const MoeCountSpec &spec,
                             const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.experts > 0 && spec.topk > 0 && spec.tokens > 0,
                 "needs positive shapes"))
    return {};
  Step step(k, k.word("bm"), spec.topk);
  unsigned ids = k.arg("ids", k.view({-1, spec.topk}, k.i32()));
  unsigned load = k.arg("expert_load", k.view({spec.experts}, k.i32()));
  k.dim(spec.experts, 1);
  k.begin();

  Value expert = k.coordinate(0), zero = k.index(0);
  Value tokens = k.size(tile::SizeName::SliceTokens);
  Value isCounted = mlir::arith::AndIOp::create(
      k.b, k.loc, k.size(tile::SizeName::Flags), k.index(1));
  k.ifLess(zero, isCounted, [&] {
    auto hits = countFold(k, zero, tokens, step.rows, {step.constant(0)},
                          [&](Value t, ValueRange state) -> SmallVector<Value> {
                            Value isMine =
                                k.cmpi(CmpIPredicate::eq,
                                       step.load(k[ids], t, 0, tokens),
                                       k.splat(expert, step.row));
                            return {k.addi(state[0], asNumber(k, isMine))};
                          });
    tile::ReduceIntoOp::create(k.b, k.loc, k[load], expert,
                               k.reshape(total(k, hits.getResult(0)), {1}));
  });
  return k.end();
}

//===----------------------------------------------------------------------===//
// moe_route
//===----------------------------------------------------------------------===//

// One work item per destination rank. It walks all choices in order; what it
// has met of its own so far gives the place of the next. Rows and choices that
// do not fit are a tail of its own, since both numbers only grow.
tile::KernelOp buildMoeRoute(OpBuilder &builder, Location loc, StringRef name,
                             const MoeRouteSpec &spec,
                             const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.experts > 0 && spec.topk > 0 && spec.tokens > 0 &&
                     spec.ranks > 0 && spec.slots > 0 && spec.capacity > 0 &&
                     spec.pairs > 0 && spec.replicas > 0,
                 "needs positive shapes"))
    return {};
  int64_t topk = spec.topk, words = metaWords(topk);
  int64_t width = 1 + spec.replicas; // of a row of the table
  Step step(k, k.word("bm"), topk);
  unsigned ids = k.arg("ids", k.view({-1, topk}, k.i32()));
  // As one column: what is read of a row depends on the choice.
  unsigned table =
      k.constant("table", k.view({spec.experts * width, 1}, k.i32()));
  unsigned sendToken = k.arg("send_token", k.view({-1, 1}, k.i32()));
  unsigned sendMeta = k.arg("send_meta", k.view({-1, words}, k.i32()));
  unsigned place = k.arg("place", k.view({-1, 1}, k.i32()));
  unsigned sent = k.arg("sent", k.view({spec.ranks, 2}, k.i32()));
  unsigned overflow = k.arg("overflow", k.view({spec.ranks, 2}, k.i32()));
  k.dim(spec.ranks, 1);
  k.begin();

  Value zero = k.index(0), rank = k.coordinate(0);
  Value tokens = k.size(tile::SizeName::SliceTokens);
  Value none = step.constant(-1);
  Value firstRow = k.mulIndex(rank, spec.capacity);
  Value firstPair = k.mulIndex(rank, spec.pairs);
  SmallVector<int64_t> perRow{step.rows, 1}, oneRow{1, step.rows}, one{1, 1};
  auto gather = [&](Value where) {
    Value rows = k.rows(k[table], k.reshape(where, step.column));
    return step.flat(k.load(rows, {zero, zero}, {step.rows * topk, 1}));
  };
  // The slot of each choice on this rank; -1: another rank's, or nobody's.
  auto localSlots = [&](Value t, Value id, Value isLost) {
    Value row = k.muli(id, step.constant(width));
    Value entry = k.addi(row, step.constant(1));
    if (spec.replicas > 1) {
      // Replicas take turns by token and choice.
      Value replicas = gather(k.select(isLost, none, row));
      replicas =
          mlir::arith::MaxSIOp::create(k.b, k.loc, replicas, step.constant(1));
      Value choice = step.flat(k.iota(step.table, 1));
      Value turn = mlir::arith::RemUIOp::create(
          k.b, k.loc, k.addi(step.owners(t), choice), replicas);
      entry = k.addi(entry, turn);
    }
    Value slot = k.subi(gather(k.select(isLost, none, entry)),
                        k.splat(k.mulIndex(rank, spec.slots), step.row));
    Value isMine =
        both(k, k.cmpi(CmpIPredicate::ult, slot, step.constant(spec.slots)),
             k.cmpi(CmpIPredicate::ult, id, step.constant(spec.experts)));
    return k.select(isMine, slot, none);
  };

  Value noneYet = k.constantI32(one, 0);
  auto counts = countFold(
      k, zero, tokens, step.rows, {noneYet, noneYet, noneYet},
      [&](Value t, ValueRange state) -> SmallVector<Value> {
        Value rowsBefore = state[0], pairsBefore = state[1];
        Value id = step.load(k[ids], t, 0, tokens);
        Value isLost =
            k.cmpi(CmpIPredicate::uge, id, step.constant(spec.experts));
        Value slot = localSlots(t, id, isLost);
        Value isMine = k.cmpi(CmpIPredicate::sge, slot, step.constant(0));
        Value mine = asNumber(k, isMine);
        Value pair =
            k.addi(tile::ScanOp::create(k.b, k.loc, mine, 1), pairsBefore);
        // Of each token whether any choice is this rank's, and its row if so.
        Value any =
            k.reduce(tile::ReduceKind::Max, k.reshape(mine, step.table), 1);
        Value anyRow = k.reshape(any, oneRow);
        Value row =
            k.addi(tile::ScanOp::create(k.b, k.loc, anyRow, 1), rowsBefore);
        Value hasRoom = k.cmpi(CmpIPredicate::slt, row,
                               k.constantI32(oneRow, spec.capacity));
        Value rowOfPair =
            step.flat(k.broadcast(k.reshape(row, perRow), step.table));
        Value fits = both(
            k,
            both(k, isMine,
                 k.cmpi(CmpIPredicate::slt, pair, step.constant(spec.pairs))),
            k.cmpi(CmpIPredicate::slt, rowOfPair,
                   step.constant(spec.capacity)));

        // Item 0 answers for the ids that name no expert.
        Value isFirst = k.cmpi(CmpIPredicate::eq, k.splat(rank, step.row),
                               step.constant(0));
        Value answers = both(k, step.exists(t, tokens),
                             mlir::arith::OrIOp::create(
                                 k.b, k.loc, isMine, both(k, isLost, isFirst)));
        step.scatter(
            k[place], k.select(answers, step.numbers(t), none),
            k.select(fits, k.addi(pair, k.splat(firstPair, step.row)), none));

        // A row: its token, the number of its first pair, its slots here.
        Value token = k.addi(k.iota(perRow, 0), k.splat(t, perRow));
        Value isSent = both(
            k, k.cmpi(CmpIPredicate::sgt, anyRow, k.constantI32(oneRow, 0)),
            hasRoom);
        Value where =
            k.reshape(k.select(isSent, k.addi(row, k.splat(firstRow, oneRow)),
                               k.constantI32(oneRow, -1)),
                      {step.rows});
        SmallVector<Value> parts{
            token, k.slice(k.reshape(pair, step.table), {0, 0}, perRow),
            k.reshape(k.select(fits, slot, none), step.table)};
        if (words > 2 + topk)
          parts.push_back(k.constantI32({step.rows, words - 2 - topk}, 0));
        k.store(k.rows(k[sendToken], where), {zero, zero}, token);
        k.store(k.rows(k[sendMeta], where), {zero, zero}, k.concat(parts, 1));
        return {k.addi(rowsBefore, total(k, anyRow)),
                k.addi(pairsBefore, total(k, mine)),
                k.addi(state[2], total(k, asNumber(k, fits)))};
      });
  Value rows = mlir::arith::MinSIOp::create(k.b, k.loc, counts.getResult(0),
                                            k.constantI32(one, spec.capacity));
  k.store(k[sent], {rank, zero}, k.concat({rows, counts.getResult(2)}, 1));
  // What was wanted, of whichever launch wanted most. Launches follow each
  // other, and no other item has this row.
  tile::ReduceIntoOp::create(
      k.b, k.loc, k[overflow], ValueRange{rank, zero},
      k.concat({counts.getResult(0), counts.getResult(1)}, 1), /*max=*/true);

  // What is left of the capacity names no row. Not the rows written above: a
  // GPU gives no order between two writes of an item.
  int64_t part = std::min(step.rows, spec.capacity);
  countFold(k, zero, k.index(spec.capacity), part, {},
            [&](Value r, ValueRange) -> SmallVector<Value> {
              SmallVector<int64_t> shape{part};
              Value number = k.addi(k.iota(shape, 0), k.splat(r, shape));
              Value isLeft =
                  both(k,
                       k.cmpi(CmpIPredicate::sge, number,
                              k.broadcast(k.reshape(rows, {1}), shape)),
                       k.cmpi(CmpIPredicate::slt, number,
                              k.constantI32(shape, spec.capacity)));
              Value where =
                  k.select(isLeft, k.addi(number, k.splat(firstRow, shape)),
                           k.constantI32(shape, -1));
              k.store(k.rows(k[sendToken], where), {zero, zero},
                      k.constantI32({part, 1}, -1));
              k.store(k.rows(k[sendMeta], where), {zero, zero},
                      k.constantI32({part, words}, -1));
              return {};
            });
  return k.end();
}

//===----------------------------------------------------------------------===//
// moe_pack
//===----------------------------------------------------------------------===//

// Capacity is far above what is used: an item of a row without a token reads a
// word and ends.
tile::KernelOp buildMoePack(OpBuilder &builder, Location loc, StringRef name,
                            const MoePackSpec &spec,
                            const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.hidden > 0, "needs a positive shape"))
    return {};
  tile::ViewType rows = spec.quantized ? k.quantizedView(spec.hidden)
                                       : k.actView({-1, spec.hidden});
  unsigned x = k.arg("x", rows);
  unsigned sendToken = k.arg("send_token", k.view({-1, 1}, k.i32()));
  unsigned out = k.arg("out", rows);
  int64_t columns = k.word("columns");
  k.dim(-1, 1);
  k.dim(spec.hidden, columns);
  k.begin();

  Value m = k.coordinate(0), n = k.coordinate(1);
  Value token = k.read(k[sendToken], {m, k.index(0)});
  k.ifLess(k.index(-1), token, [&] {
    k.store(k[out], {m, n}, k.loadScaled(k[x], {token, n}, {1, columns}, 1));
  });
  return k.end();
}

//===----------------------------------------------------------------------===//
// moe_receive
//===----------------------------------------------------------------------===//

// As moe_permute: one work item per slot counts the pairs of its own and of all
// lower slots, and then places its own in the order of rows. Steps that are
// shorter than a rank's block stay in it and end with what came from the rank,
// so that time follows what arrived; longer ones take several blocks whole,
// whose unused rows are -1 throughout.
tile::KernelOp buildMoeReceive(OpBuilder &builder, Location loc, StringRef name,
                               const MoeReceiveSpec &spec,
                               const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.topk > 0 && spec.ranks > 0 && spec.slots > 0 &&
                     spec.capacity > 0,
                 "needs positive shapes"))
    return {};
  Step step(k, k.word("bm"), spec.topk);
  unsigned meta = k.arg("meta", k.view({-1, metaWords(spec.topk)}, k.i32()));
  unsigned got = k.arg("got", k.view({-1, 2}, k.i32()));
  unsigned source = k.arg("source", k.view({-1, 1}, k.i32()));
  unsigned back = k.arg("back", k.view({-1, 1}, k.i32()));
  k.dim(spec.slots, 1);
  k.begin();

  Value zero = k.index(0), slot = k.coordinate(0);
  Value mine = k.splat(slot, step.row), noneYet = step.constant(0);
  // Folds |body| over the rows that may have arrived: given a step's first row,
  // the end of its rows and the state.
  using Body = llvm::function_ref<SmallVector<Value>(Value, Value, ValueRange)>;
  auto foldReceived = [&](ValueRange inits, Body body) {
    int64_t all = spec.ranks * spec.capacity;
    if (step.rows >= spec.capacity)
      return countFold(k, zero, k.index(all), step.rows, inits,
                       [&](Value r, ValueRange state) {
                         return body(r, k.index(all), state);
                       });
    return countFold(k, zero, k.index(spec.ranks), 1, inits,
                     [&](Value rank, ValueRange state) -> SmallVector<Value> {
                       Value first = k.mulIndex(rank, spec.capacity);
                       Value end = k.add(first, k.read(k[got], {rank, zero}));
                       return SmallVector<Value>(
                           countFold(k, first, end, step.rows, state,
                                     [&](Value r, ValueRange inner) {
                                       return body(r, end, inner);
                                     })
                               .getResults());
                     });
  };
  auto counts = foldReceived(
      {noneYet, noneYet},
      [&](Value r, Value end, ValueRange state) -> SmallVector<Value> {
        Value slots = step.load(k[meta], r, kMetaSlots, end);
        // Unsigned: -1, a choice that is elsewhere, is below none.
        return {k.addi(state[0],
                       asNumber(k, k.cmpi(CmpIPredicate::ult, slots, mine))),
                k.addi(state[1],
                       asNumber(k, k.cmpi(CmpIPredicate::eq, slots, mine)))};
      });
  Value begin = total(k, counts.getResult(0));
  Value count = total(k, counts.getResult(1));
  tile::StoreSizeOp::create(k.b, k.loc, k.sizes(),
                            k.reshape(k.addi(begin, count), {1}),
                            k.add(slot, k.index(1)));
  k.ifLess(slot, k.index(1), [&] {
    tile::StoreSizeOp::create(k.b, k.loc, k.sizes(), k.constantI32({1}, 0),
                              Value());
  });

  foldReceived(
      {begin}, [&](Value r, Value end, ValueRange state) -> SmallVector<Value> {
        Value slots = step.load(k[meta], r, kMetaSlots, end);
        Value isMine = k.cmpi(CmpIPredicate::eq, slots, mine);
        Value hit = asNumber(k, isMine), none = step.constant(-1);
        Value routed =
            k.addi(tile::ScanOp::create(k.b, k.loc, hit, 1), state[0]);
        step.scatter(k[source], k.select(isMine, routed, none), step.owners(r));
        step.scatter(k[back], k.select(isMine, step.numbers(r), none), routed);
        return {k.addi(state[0], total(k, hit))};
      });
  return k.end();
}

//===----------------------------------------------------------------------===//
// moe_return_rows
//===----------------------------------------------------------------------===//

// One work item per received row (and columns), which moves the pairs it has
// here: about one of topk, so that gathering all would move mostly nothing.
tile::KernelOp buildMoeReturnRows(OpBuilder &builder, Location loc,
                                  StringRef name, const MoeReturnRowsSpec &spec,
                                  const schedule::Schedule &schedule) {
  KernelBuilder k(builder, loc, name, spec, schedule);
  if (!k.require(spec.hidden > 0 && spec.topk > 0 && spec.ranks > 0 &&
                     spec.capacity > 0 && spec.pairs > 0,
                 "needs positive shapes"))
    return {};
  unsigned y = k.arg("y", k.actView({-1, spec.hidden}));
  unsigned meta = k.arg("meta", k.view({-1, metaWords(spec.topk)}, k.i32()));
  unsigned back = k.arg("back", k.view({-1, spec.topk}, k.i32()));
  unsigned out = k.arg("out", k.actView({-1, spec.hidden}));
  int64_t columns = k.word("columns");
  k.dim(-1, 1);
  k.dim(spec.hidden, columns);
  k.begin();

  Value m = k.coordinate(0), n = k.coordinate(1), none = k.index(-1);
  k.ifLess(none, k.read(k[meta], {m, k.index(0)}), [&] {
    Value block = k.mulIndex(k.divIndex(m, spec.capacity), spec.pairs);
    Value to = k.add(block, k.read(k[meta], {m, k.index(1)}));
    for (int64_t j = 0; j < spec.topk; ++j) {
      Value slot = k.read(k[meta], {m, k.index(kMetaSlots + j)});
      k.ifLess(none, slot, [&] {
        Value from = k.read(k[back], {m, k.index(j)});
        k.store(k[out], {to, n}, k.load(k[y], {from, n}, {1, columns}));
      });
      Value isHere = mlir::arith::CmpIOp::create(k.b, k.loc, CmpIPredicate::slt,
                                                 none, slot);
      to = k.add(to, mlir::arith::SelectOp::create(k.b, k.loc, isHere,
                                                   k.index(1), k.index(0)));
    }
  });
  return k.end();
}

} // namespace hadal::kernels
