// Split-K: the CTAs of an item fold parts of its steps, the last to come merges
// their states by the fold's combine region and goes on with the epilogue.
#include "compiler/codegen/nvptx/common/SplitFold.h"
#include "compiler/codegen/nvptx/common/WorkItem.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// Registers of a vector of state as the parts' meeting handles it.
static constexpr int64_t kPiece = 16;
static SmallVector<int64_t> numbers(int64_t first, int64_t count) {
  SmallVector<int64_t> result;
  for (int64_t i = first; i < first + count; ++i)
    result.push_back(i);
  return result;
}

/// The registers that piece |i| of |frag| holds.
static SmallVector<int64_t> pieceOf(const Fragment &frag, int64_t i) {
  return numbers(i * kPiece, std::min(kPiece, frag.count() - i * kPiece));
}

static int64_t piecesOf(const Fragment &frag) {
  return llvm::divideCeil(frag.count(), kPiece);
}

int64_t PipelineEmitter::stateRegisters() const {
  int64_t registers = 0;
  for (Type type : FoldOp(mainFold).getResultTypes()) {
    auto tile = cast<RankedTensorType>(type);
    registers += (transposed() ? transposedLayout(tile) : layoutOf(tile)).count();
  }
  return registers;
}

LogicalResult PipelineEmitter::planSplit() {
  FoldOp fold = mainFold;
  if (split == 1)
    return success();
  if (!fold)
    return refuseWord("split", Twine(split))
           << "the kernel has no one fold of contractions over a range that is "
              "known";
  if (!llvm::all_of(fold.getResultTypes(), llvm::IsaPred<RankedTensorType>))
    return refuseWord("split", Twine(split))
           << "a state of its fold is no tile";
  int64_t steps = stepsOf(fold);
  partSteps = llvm::divideCeil(steps, split);
  if (split > steps ||
      static_cast<int64_t>(llvm::divideCeil(steps, partSteps)) != split)
    return refuseWord("split", Twine(split))
           << steps << " steps have no " << split
           << " parts of one length but the last";
  return success();
}

/// True where the first row of this thread's fragments counts, if that is how the
/// kernel's stores cut what the fold gave: rows of a later fragment row exist
/// only where the earlier does. Null if the stores do not say.
Value PipelineEmitter::rowsThatCount() {
  if (transposed())
    return {};
  Value below;
  WalkResult walk = kernel.walk([&](Operation *op) {
    auto store = dyn_cast<StoreOp>(op);
    if (!store)
      return WalkResult::advance();
    if (!store.getRowsBelow() ||
        (below && below != store.getRowsBelow()))
      return WalkResult::interrupt();
    below = store.getRowsBelow();
    return WalkResult::advance();
  });
  // Elementwise, so that a thread may leave out its rows alone.
  FoldOp fold = mainFold;
  for (Operation &op : fold.getCombine().front().without_terminator())
    if (op.getName().getDialectNamespace() != "arith")
      return {};
  if (walk.wasInterrupted() || !below)
    return {};
  sm90::AsmBuilder &b = *builder;
  Fragment layout =
      layoutOf(cast<RankedTensorType>(fold.getResult(0).getType()));
  Value row = arith::ExtUIOp::create(b, b.getI64Type(), fragmentRow(layout, 0));
  return b.cmp(arith::CmpIPredicate::slt, row, scalar(below));
}

/// For each register of |frag|, whether a store of the kernel writes its row.
/// What the others hold means nothing: rows that the view does not have were
/// never written by anybody. Empty where the stores do not say.
SmallVector<Value> PipelineEmitter::storedRows(const Fragment &frag) {
  sm90::AsmBuilder &b = *builder;
  SmallVector<StoreOp> stores;
  bool known = true;
  kernel.walk([&](StoreOp store) {
    known &= store->getBlock() == mainFold->getBlock() &&
             store.getIndices().size() == 2 && views.count(store.getView());
    stores.push_back(store);
  });
  if (!known || stores.empty())
    return {};
  DenseMap<int64_t, Value> byRow;
  SmallVector<Value> stored;
  for (int64_t i = 0; i < frag.count(); ++i) {
    int64_t line = i % (frag.rows / 2);
    Value &any = byRow[frag.blocks ? line / 4 * 2 + line % 2
                                   : fragmentHalf(frag, i)];
    if (!any) {
      Value row = arith::ExtUIOp::create(b, b.getI64Type(), fragmentRow(frag, i));
      for (StoreOp store : stores) {
        Value inside = b.cmp(
            arith::CmpIPredicate::ult, b.add(scalar(store.getIndices()[0]), row),
            views.find(store.getView())->second->extents[0]);
        if (Value below = store.getRowsBelow())
          inside = b.bitAnd(
              inside, b.cmp(arith::CmpIPredicate::slt, row, scalar(below)));
        any = any ? b.bitOr(any, inside) : inside;
      }
    }
    stored.push_back(any);
  }
  return stored;
}

LogicalResult
PipelineEmitter::joinParts(MutableArrayRef<Fragment> state) {
  sm90::AsmBuilder &b = *builder;
  FoldOp fold = mainFold;
  SmallVector<Value> pieces, identity;
  SmallVector<SmallVector<Value>> stored; // by piece
  for (auto [frag, init] : llvm::zip(state, fold.getInits())) {
    FailureOr<Fragment> first = materialize(fold, init, frag);
    if (failed(first))
      return failure();
    SmallVector<Value> rows = storedRows(frag);
    for (int64_t i = 0; i < piecesOf(frag); ++i) {
      SmallVector<Value> &ofPiece = stored.emplace_back();
      if (!rows.empty())
        for (int64_t at : pieceOf(frag, i))
          ofPiece.push_back(rows[at]);
      pieces.push_back(shuffle(frag.regs, pieceOf(frag, i)));
      identity.push_back(shuffle(first->regs, pieceOf(frag, i)));
    }
  }
  /// The fragment of |layout| whose pieces |next| gives.
  auto join = [&](const Fragment &layout, llvm::function_ref<Value()> next) {
    Fragment frag = layout;
    frag.regs = {};
    for (int64_t i = 0; i < piecesOf(layout); ++i)
      frag.regs = frag.regs ? append(frag.regs, next()) : next();
    return frag;
  };
  LogicalResult status = success();
  Block &combine = fold.getCombine().front();
  size_t states = state.size();
  auto merge = [&](ValueRange a,
                   llvm::function_ref<Value()> next) -> SmallVector<Value> {
    Scalars savedScalars = scalars;
    DenseMap<Value, TileValue> savedTiles = tiles;
    size_t piece = 0;
    for (size_t i = 0; i < states; ++i)
      setFragment(combine.getArgument(i),
                  join(state[i], [&] { return a[piece++]; }));
    // Read where they are merged: few registers at a time. The functions refer
    // to |read|: no tile of the region outlives this call.
    SmallVector<Value> read;
    int64_t first = 0;
    for (size_t i = 0; i < states; ++i) {
      Value argument = combine.getArgument(states + i);
      setFragment(argument, state[i]);
      auto pieceAt = [&read, next, first](int64_t at) {
        while (static_cast<int64_t>(read.size()) <= first + at / kPiece)
          read.push_back(next());
        return read[first + at / kPiece];
      };
      tiles[argument].frag.regs = {};
      tiles[argument].deferred = [this, pieceAt](int64_t from, int64_t count) {
        Value regs;
        while (count > 0) {
          Value whole = pieceAt(from);
          int64_t begin = from % kPiece;
          int64_t taken = std::min(
              count,
              cast<VectorType>(whole.getType()).getNumElements() - begin);
          Value part = shuffle(whole, numbers(begin, taken));
          regs = regs ? append(regs, part) : part;
          from += taken;
          count -= taken;
        }
        return regs;
      };
      first += piecesOf(state[i]);
    }
    SmallVector<Value> merged;
    for (Operation &op : combine.without_terminator())
      if (failed(emitOp(&op)))
        status = failure();
    for (auto [value, layout] :
         llvm::zip(combine.getTerminator()->getOperands(), state)) {
      if (failed(status))
        break;
      FailureOr<Fragment> result = materialize(fold, value, layout);
      if (failed(result)) {
        status = failure();
        break;
      }
      for (int64_t i = 0; i < piecesOf(layout); ++i)
        merged.push_back(shuffle(result->regs, pieceOf(layout, i)));
    }
    if (failed(status))
      merged.assign(a.begin(), a.end());
    scalars = std::move(savedScalars);
    tiles = std::move(savedTiles);
    return merged;
  };
  SplitLayout layout{128 * warpgroups, stateRegisters(), split};
  layout.unroll = unroll;
  Value thread = sm90::SregOp::create(b, b.getI32Type(), sm90::Sreg::Tid);
  SplitPart at{workspace, item, part, b.i32(split), thread, rowsThatCount()};
  Value none = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
  auto keep = [&](size_t i, size_t j, Value element) -> Value {
    if (stored[i].empty())
      return element;
    return arith::SelectOp::create(b, stored[i][j], element, none);
  };
  JoinedFold joined =
      emitJoin(b, layout, at, splitFlag, pieces, keep, identity, merge);
  if (failed(status))
    return failure();
  // The others are done: what follows in the kernel is the last one's.
  auto last = scf::IfOp::create(b, TypeRange(), joined.last,
                                /*withElseRegion=*/false);
  b.setInsertionPoint(last.thenBlock()->getTerminator());
  size_t piece = 0;
  for (Fragment &frag : state)
    frag = join(frag, [&] { return joined.state[piece++]; });
  return success();
}

} // namespace hadal::nvptx
