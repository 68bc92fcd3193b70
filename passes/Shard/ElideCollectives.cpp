#include "passes/Dsv3/ParameterSplits.h"
#include "passes/Identity/Names.h"
#include "passes/Shard/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_ELIDECOLLECTIVES
#include "passes/Shard/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Bytes of a row of |value|, scales included.
int64_t rowBytes(Value value) {
  RankedTensorType type = typeOf(value);
  int64_t columns = type.getShape().back();
  int64_t bytes = columns * (type.getElementTypeBitWidth() / 8);
  return isFP8(type) ? bytes + 4 * llvm::divideCeil(columns, kBlock) : bytes;
}

struct ElideCollectivesPass
    : hadal::impl::ElideCollectivesBase<ElideCollectivesPass> {
  void runOnOperation() override {
    ParameterSplits splits(getOperation());
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      while (takeOwnSlice(func) || scatterSum(func) || sinkGather(func, splits))
        ;
      while (mergeGathers(func))
        ;
    }
  }

  /// What gives |value| stands for |erased| too.
  static void standFor(Value value, Operation *erased) {
    if (Operation *op = value.getDefiningOp())
      absorbLoc(op, "elide-collectives", erased);
    else
      recordDropped(erased, "each rank reads its own slice");
  }

  /// take_slice of an all_gather is what was gathered.
  static bool takeOwnSlice(func::FuncOp func) {
    for (auto take : func.getBody().getOps<TakeSliceOp>()) {
      auto gather = take.getInput().getDefiningOp<AllGatherOp>();
      if (!gather)
        continue;
      unsigned number = cast<OpResult>(take.getInput()).getResultNumber();
      Value part = gather.getParts()[number];
      take.getResult().replaceAllUsesWith(part);
      standFor(part, take);
      take.erase();
      if (gather->use_empty()) {
        standFor(part, gather);
        gather.erase();
      }
      return true;
    }
    return false;
  }

  /// A sum of which each rank reads its slice alone is formed there alone.
  static bool scatterSum(func::FuncOp func) {
    for (auto reduce : func.getBody().getOps<AllReduceOp>()) {
      SmallVector<TakeSliceOp> takes;
      for (Operation *user : reduce.getResult().getUsers())
        if (auto take = dyn_cast<TakeSliceOp>(user))
          takes.push_back(take);
      if (takes.empty() ||
          !llvm::hasNItems(reduce.getResult().getUsers(), takes.size()))
        continue;
      OpBuilder b(reduce);
      Value scattered = ReduceScatterOp::create(
          b, reduce.getLoc(), takes.front().getResult().getType(),
          reduce.getInput(), reduce.getAxis());
      for (TakeSliceOp take : takes) {
        standFor(scattered, take);
        take.getResult().replaceAllUsesWith(scattered);
        take.erase();
      }
      reduce.erase();
      return true;
    }
    return false;
  }

  /// The operand of |op| whose rows it maps each on its own, the same on every
  /// rank; null if |op| does anything else.
  static OpOperand *getMappedRows(Operation *op,
                                  const ParameterSplits &splits) {
    if (auto norm = dyn_cast<RmsNormOp>(op))
      return &norm.getInputMutable();
    if (auto quantize = dyn_cast<QuantizeTilesOp>(op))
      return &quantize.getInputMutable();
    auto linear = dyn_cast<LinearOp>(op);
    // A part of a weight is another on each rank.
    if (linear && !linear.getBegin() && !linear.getRopeTable() &&
        !linear.getResidual() && !splits.of(linear.getWeight()))
      return &linear.getInputMutable();
    return nullptr;
  }

  /// An all_gather goes below the operations that map its rows, if they all do
  /// and what they give is no wider.
  static bool sinkGather(func::FuncOp func, const ParameterSplits &splits) {
    for (auto gather : func.getBody().getOps<AllGatherOp>()) {
      if (gather.getParts().size() != 1)
        continue;
      Value part = gather.getParts().front(), all = gather.getResult(0);
      SmallVector<Operation *> users(all.getUsers());
      llvm::sort(users, [](Operation *a, Operation *b) {
        return a->isBeforeInBlock(b);
      });
      int64_t bytes = 0;
      bool sinks = !users.empty();
      for (Operation *user : users) {
        OpOperand *rows = getMappedRows(user, splits);
        sinks &= rows && rows->get() == all;
        if (sinks)
          bytes += rowBytes(user->getResult(0));
      }
      if (!sinks || bytes > rowBytes(all))
        continue;
      for (Operation *user : users) {
        Value result = user->getResult(0);
        RankedTensorType whole = typeOf(result);
        getMappedRows(user, splits)->set(part);
        result.setType(withRows(whole, Extent::Slice));
        OpBuilder b(user->getContext());
        b.setInsertionPointAfter(user);
        auto below =
            AllGatherOp::create(b, splitLoc(user, "gather"), TypeRange{whole},
                                ValueRange{result}, gather.getAxis());
        result.replaceAllUsesExcept(below.getResult(0), below);
        absorbLoc(below, "elide-collectives", gather);
      }
      gather.erase();
      return true;
    }
    return false;
  }

  /// Two gathers that may begin at one place are one of several parts.
  static bool mergeGathers(func::FuncOp func) {
    SmallVector<AllGatherOp> gathers(func.getBody().getOps<AllGatherOp>());
    for (auto [i, second] : llvm::enumerate(gathers))
      for (AllGatherOp first : ArrayRef(gathers).take_front(i))
        if (first.getAxis() == second.getAxis() && merge(first, second))
          return true;
    return false;
  }

  /// |first| is before |second|. The place is the second's if nothing in
  /// between reads the first, else the first's if what the second gathers is
  /// there.
  static bool merge(AllGatherOp first, AllGatherOp second) {
    bool isReadBetween = llvm::any_of(first->getUsers(), [&](Operation *user) {
      return user == second || user->isBeforeInBlock(second);
    });
    bool isThereBefore = llvm::all_of(second.getParts(), [&](Value part) {
      Operation *op = part.getDefiningOp();
      return !op || op->isBeforeInBlock(first);
    });
    if (isReadBetween && !isThereBefore)
      return false;
    OpBuilder b(isReadBetween ? first : second);
    auto parts = llvm::to_vector(llvm::concat<Value>(
        llvm::to_vector(first.getParts()), llvm::to_vector(second.getParts())));
    SmallVector<Type> types(first.getResultTypes());
    llvm::append_range(types, second.getResultTypes());
    auto merged = AllGatherOp::create(
        b, fuseLoc(getLocalName(first), "elide-collectives", {first, second}),
        types, parts, first.getAxis());
    unsigned n = first.getNumResults();
    first->replaceAllUsesWith(merged.getResults().take_front(n));
    second->replaceAllUsesWith(merged.getResults().drop_front(n));
    first.erase();
    second.erase();
    return true;
  }
};

} // namespace
