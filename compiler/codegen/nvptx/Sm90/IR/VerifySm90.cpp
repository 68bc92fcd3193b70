// What one op's verifier cannot see: protocols along paths, budgets.
#include "compiler/codegen/nvptx/Passes.h"
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace hadal::sm90 {
namespace {

/// The ring and the iteration that a stage op names.
using Use = std::pair<Value, Value>;

class Verifier {
public:
  explicit Verifier(KernelOp kernel) : kernel(kernel) {}

  LogicalResult run() {
    if (failed(checkShared()))
      return failure();
    bool failedAny = false;
    kernel.walk([&](Block *block) {
      failedAny |= failed(checkStages(*block, isOneOf<AcquireOp, ResumeOp>,
                                      isOneOf<CommitOp, DeferOp>, "commit",
                                      "acquired")) ||
                   failed(checkStages(*block, isOneOf<AwaitOp>,
                                      isOneOf<ReleaseOp, HoldOp>, "release",
                                      "awaited"));
    });
    kernel.walk([&](RingOp ring) {
      failedAny |= failed(checkDeferred(ring)) || failed(checkHeld(ring));
    });
    kernel.walk([&](Operation *op) {
      if (auto loop = dyn_cast<scf::ForOp>(op))
        failedAny |= failed(checkBackEdge(loop));
      if (auto mma = dyn_cast<MmaOp>(op))
        failedAny |= failed(checkFence(mma)) || failed(checkRegisters(mma));
      if (auto fence = dyn_cast<FenceAsyncOp>(op))
        failedAny |= failed(checkFencePublished(fence));
      if (auto release = dyn_cast<ReleaseOp>(op))
        failedAny |= failed(checkRetired(release));
      if (auto store = dyn_cast<TileStoreOp>(op))
        failedAny |= failed(checkStoreFenced(store));
    });
    if (failedAny)
      return failure();
    return checkAccumulators(kernel.getBodyBlock());
  }

private:
  LogicalResult checkShared();
  using IsOp = llvm::function_ref<bool(Operation *)>;
  template <typename... Ops> static bool isOneOf(Operation *op) {
    return isa<Ops...>(op);
  }
  LogicalResult checkStages(Block &block, IsOp opens, IsOp closes,
                            StringRef closing, StringRef opened);
  LogicalResult checkDeferred(RingOp ring);
  LogicalResult checkHeld(RingOp ring);
  LogicalResult checkRetired(ReleaseOp release);
  LogicalResult checkBackEdge(scf::ForOp loop);
  LogicalResult checkFence(MmaOp mma);
  LogicalResult checkRegisters(MmaOp mma);
  LogicalResult checkStoreFenced(TileStoreOp store);
  LogicalResult checkFencePublished(FenceAsyncOp fence);
  LogicalResult checkAccumulators(Block &block);

  KernelOp kernel;
};

/// The tile that a chain of slices starts from.
Value rootTile(Value tile) {
  while (auto slice = tile.getDefiningOp<TileSliceOp>())
    tile = slice.getTile();
  return tile;
}

Use useOf(Operation *stage) {
  return {stage->getOperand(0), stage->getOperand(1)};
}

LogicalResult Verifier::checkShared() {
  int64_t bytes = 0;
  kernel.walk([&](Operation *op) {
    if (auto shared = dyn_cast<SharedOp>(op))
      bytes += (shared.getBytes() + 15) / 16 * 16;
    else if (auto tile = dyn_cast<TileAllocOp>(op))
      bytes += tile.getResult().getType().getBytes();
    else if (auto ring = dyn_cast<RingOp>(op))
      bytes += ring.getResult().getType().getStages() *
               (ring.getResult().getType().getStageBytes() + 16);
  });
  if (bytes > kMaxSharedBytes)
    return kernel.emitOpError("needs ")
           << bytes << " bytes of shared memory; a CTA of sm_90 has "
           << kMaxSharedBytes;
  return success();
}

// A stage opened in a block is closed later in the same block, so that no path
// misses it: branches around either would put it into another block.
LogicalResult Verifier::checkStages(Block &block, IsOp opens, IsOp closes,
                                    StringRef closing, StringRef opened) {
  SmallVector<std::pair<Use, Operation *>> open;
  for (Operation &op : block) {
    if (opens(&op)) {
      open.push_back({useOf(&op), &op});
    } else if (closes(&op)) {
      auto *it = llvm::find_if(open, [&](const auto &entry) {
        return entry.first == useOf(&op);
      });
      if (it == open.end())
        return op.emitOpError("of an iteration that this block has not ")
               << opened;
      open.erase(it);
    }
  }
  if (!open.empty())
    return open.front().second->emitOpError("has no ")
           << closing << " of its iteration on every path";
  return success();
}

/// The loop that |op|, a stage op, is in and whose iterations are its; null if
/// there is none.
scf::ForOp loopOfStage(Operation *op) {
  auto loop = dyn_cast<scf::ForOp>(op->getParentOp());
  return loop && useOf(op).second == loop.getInductionVar() ? loop
                                                           : scf::ForOp();
}

/// Adds to |loads| how often each tile of |opening|, which opens a stage, is
/// loaded in its block.
void countLoads(Operation *opening, SmallVectorImpl<unsigned> &loads) {
  for (Operation &op : *opening->getBlock()) {
    if (!isa<TmaLoadOp, TmaGatherOp>(op))
      continue;
    Value tile = isa<TmaLoadOp>(op) ? cast<TmaLoadOp>(op).getTile()
                                    : cast<TmaGatherOp>(op).getTile();
    for (auto [i, result] : llvm::enumerate(opening->getResults()))
      loads[i] += result == tile;
  }
}

// The full barrier of a stage expects the bytes of all tiles from its acquire
// on: a tile that is never asked for is a wait without end, one asked for twice
// a phase too early.
LogicalResult Verifier::checkDeferred(RingOp ring) {
  DeferOp defer;
  ResumeOp resume;
  AcquireOp acquire;
  for (Operation *user : ring.getResult().getUsers()) {
    if (auto op = dyn_cast<DeferOp>(user)) {
      if (defer)
        return op.emitOpError("is the second of its ring");
      defer = op;
    } else if (auto op = dyn_cast<ResumeOp>(user)) {
      if (resume)
        return op.emitOpError("is the second of its ring");
      resume = op;
    }
  }
  if (!defer && !resume)
    return success();
  if (!defer)
    return resume.emitOpError("of a ring whose stages are never deferred");
  if (!resume)
    return defer.emitOpError("of a ring whose stages are never resumed");
  scf::ForOp first = loopOfStage(defer), second = loopOfStage(resume);
  if (!first || !second || first->getBlock() != second->getBlock() ||
      !first->isBeforeInBlock(second) ||
      !isEqualConstantIntOrValue(first.getLowerBound(),
                                 second.getLowerBound()) ||
      !isEqualConstantIntOrValue(first.getUpperBound(),
                                 second.getUpperBound()) ||
      !isEqualConstantIntOrValue(first.getStep(), second.getStep()))
    return resume.emitOpError("is not in a loop over the iterations that an "
                              "earlier loop of its block defers");
  for (AcquireOp op : first.getBody()->getOps<AcquireOp>())
    if (useOf(op) == useOf(defer))
      acquire = op;
  SmallVector<unsigned> loads(resume.getTiles().size());
  if (acquire)
    countLoads(acquire, loads);
  countLoads(resume, loads);
  for (auto [i, count] : llvm::enumerate(loads))
    if (count != 1)
      return resume.emitOpError("and its defer load tile ")
             << i << " " << count << " times, expected once";
  return success();
}

// ptxas serialises wgmma (warning C7514) where the program reads one
// accumulator while another is in flight over the back-edge.
LogicalResult Verifier::checkBackEdge(scf::ForOp loop) {
  unsigned inFlight = llvm::count_if(
      loop.getResultTypes(), [](Type type) { return isa<AccType>(type); });
  if (inFlight > 1)
    return loop.emitOpError("carries ")
           << inFlight
           << " accumulators in flight over its back-edge; ptxas serialises "
              "more than one";
  if (inFlight == 1) {
    WalkResult reader = loop.walk([&](MmaWaitOp wait) {
      return wait.getValues().empty() ? WalkResult::advance()
                                      : WalkResult::interrupt();
    });
    if (reader.wasInterrupted())
      return loop.emitOpError("carries an accumulator in flight over its "
                              "back-edge beside a reader of accumulators; "
                              "ptxas serialises it");
  }
  return success();
}

// A group of wgmmas starts with a fence: between it and the previous wait (or
// the block's start) other instructions may have used the registers.
LogicalResult Verifier::checkFence(MmaOp mma) {
  for (Operation *op = mma->getPrevNode(); op; op = op->getPrevNode()) {
    if (isa<MmaFenceOp, MmaOp>(op))
      return success();
    if (isa<MmaWaitOp>(op) || op->getNumRegions())
      break;
  }
  return mma.emitOpError("has no mma_fence before it since the last wait");
}

// The registers of operand A belong to the wgmma until a wait keeps them.
LogicalResult Verifier::checkRegisters(MmaOp mma) {
  Value registers = mma.getARegisters();
  if (!registers)
    return success();
  for (Operation *op = mma->getNextNode(); op; op = op->getNextNode())
    if (auto wait = dyn_cast<MmaWaitOp>(op))
      if (llvm::is_contained(wait.getKeep(), registers))
        return success();
  return mma.emitOpError("reads operand a from registers that no mma_wait of "
                         "its block keeps");
}

/// Whether |op| or one inside reads |root| asynchronously.
bool readsAsync(Operation *op, Value root) {
  WalkResult result = op->walk([&](Operation *inner) {
    if (auto mma = dyn_cast<MmaOp>(inner))
      if ((mma.getA() && rootTile(mma.getA()) == root) ||
          rootTile(mma.getB()) == root)
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return result.wasInterrupted();
}

// A stage belongs to the producer again once it is released: every wgmma of the
// block that read it must have been waited for.
LogicalResult Verifier::checkRetired(ReleaseOp release) {
  AwaitOp await;
  for (Operation *op = release->getPrevNode(); op && !await;
       op = op->getPrevNode())
    if (auto begin = dyn_cast<AwaitOp>(op); begin && useOf(op) == useOf(release))
      await = begin;
  bool reads = false;
  for (Operation *op = await ? await->getNextNode() : nullptr;
       op && op != release; op = op->getNextNode()) {
    if (auto wait = dyn_cast<MmaWaitOp>(op); wait && wait.getPending() == 0)
      reads = false;
    for (Value tile : await.getTiles())
      reads |= readsAsync(op, tile);
    if (op->getNumRegions()) // waited for inside, where it was issued
      reads = false;
  }
  if (reads)
    return release.emitOpError("of a stage that a wgmma in flight reads; a hold "
                               "and a drop release it later");
  return success();
}

/// The first mma_wait behind |from| and before |to| in their block that leaves at
/// most |pending| groups in flight; |from| may be null: the block's start.
MmaWaitOp findWait(Operation *from, Operation *to, uint64_t pending) {
  for (Operation *op = from ? from->getNextNode() : &to->getBlock()->front();
       op != to; op = op->getNextNode())
    if (auto wait = dyn_cast<MmaWaitOp>(op);
        wait && wait.getPending() <= pending)
      return wait;
  return {};
}

// One stage is held at a time: by the wgmma that the loop carries in flight.
LogicalResult Verifier::checkHeld(RingOp ring) {
  SmallVector<HoldOp> holds;
  SmallVector<DropOp> drops;
  for (Operation *user : ring.getResult().getUsers()) {
    if (auto hold = dyn_cast<HoldOp>(user))
      holds.push_back(hold);
    if (auto drop = dyn_cast<DropOp>(user))
      drops.push_back(drop);
  }
  if (holds.empty() && drops.empty())
    return success();
  if (holds.size() != 2 || drops.size() != 2)
    return ring.emitOpError("has ")
           << holds.size() << " holds and " << drops.size()
           << " drops, expected a hold before a loop, both in it and a drop "
              "behind it";
  auto loopOf = [](Operation *op) {
    return dyn_cast<scf::ForOp>(op->getParentOp());
  };
  // Users come in no order.
  if (!loopOf(holds[1]) || loopOf(holds[1])->getBlock() != holds[0]->getBlock())
    std::swap(holds[0], holds[1]);
  scf::ForOp loop = loopOf(holds[1]);
  if (!loop || loop->getBlock() != holds[0]->getBlock() ||
      !holds[0]->isBeforeInBlock(loop))
    return ring.emitOpError("is held elsewhere than before and in one loop");
  if (loopOf(drops[1]) != loop)
    std::swap(drops[0], drops[1]);
  auto arg = dyn_cast<BlockArgument>(drops[1].getIteration());
  if (loopOf(drops[1]) != loop || !arg || arg.getOwner() != loop.getBody() ||
      arg.getArgNumber() == 0)
    return drops[1].emitOpError("in the loop does not drop the iteration that "
                                "the loop carries");
  unsigned i = arg.getArgNumber() - 1;
  if (loop.getInitArgs()[i] != holds[0].getIteration() ||
      loop.getYieldedValues()[i] != holds[1].getIteration())
    return drops[1].emitOpError("drops an iteration other than the one held "
                                "last");
  if (drops[0]->getBlock() != loop->getBlock() ||
      !loop->isBeforeInBlock(drops[0]) ||
      drops[0].getIteration() != loop.getResult(i))
    return drops[0].emitOpError("behind the loop does not drop the iteration "
                                "held last");
  if (!findWait(nullptr, drops[1], 1))
    return drops[1].emitOpError("has no wait before it that retires the wgmma "
                                "of the round before");
  if (!findWait(loop, drops[0], 0))
    return drops[0].emitOpError("has no wait before it that retires every "
                                "wgmma");
  return success();
}

LogicalResult Verifier::checkStoreFenced(TileStoreOp store) {
  Value root = rootTile(store.getTile());
  bool fenced = false;
  for (Operation *op = store->getNextNode(); op; op = op->getNextNode()) {
    if (isa<FenceAsyncOp>(op))
      fenced = true;
    if (readsAsync(op, root)) {
      if (!fenced)
        return op->emitOpError("reads a tile that generic stores wrote without "
                               "a fence_async between");
      return success();
    }
  }
  return success();
}

// The fence orders the writer's own accesses; a barrier must follow it before
// another thread's copy or wgmma.
LogicalResult Verifier::checkFencePublished(FenceAsyncOp fence) {
  for (Operation *op = fence->getNextNode(); op; op = op->getNextNode()) {
    if (isa<BarrierOp, NamedBarrierOp, ReleaseOp, CommitOp>(op))
      return success();
    if (isa<MmaOp, TmaLoadOp, TmaGatherOp>(op))
      break;
  }
  return fence.emitOpError("is followed by no barrier before the next "
                           "asynchronous access");
}

/// f32 registers of accumulators and of fragments that wgmma made or will take.
int64_t accumulatorRegisters(Value value) {
  if (auto acc = dyn_cast<AccType>(value.getType()))
    return acc.getRegisters();
  auto vector = dyn_cast<VectorType>(value.getType());
  if (!vector || !vector.getElementType().isF32())
    return 0;
  return vector.getNumElements();
}

// Liveness of accumulators in one block: those carried by the loop, and each in
// flight from its wgmma to the end of its wait's last reader.
LogicalResult Verifier::checkAccumulators(Block &block) {
  for (Operation &op : block)
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        if (failed(checkAccumulators(inner)))
          return failure();
  bool multiplies = llvm::any_of(block, [](Operation &op) {
    return isa<MmaOp>(op);
  });
  if (!multiplies)
    return success();
  // What the loop carries is live through its body, in place: the yielded value
  // takes the registers of the argument.
  int64_t carried = 0;
  for (BlockArgument arg : block.getArguments())
    carried += accumulatorRegisters(arg);
  int64_t inFlight = 0, most = 0;
  Operation *at = nullptr;
  for (Operation &op : block) {
    if (auto mma = dyn_cast<MmaOp>(op)) {
      // An accumulator that continues one of the block's keeps its registers.
      if (!mma.getAcc())
        inFlight += mma.getResult().getType().getRegisters();
    } else if (auto wait = dyn_cast<MmaWaitOp>(op)) {
      for (Value acc : wait.getAccumulators()) {
        Value start = acc;
        bool fresh = false;
        while (auto mma = start.getDefiningOp<MmaOp>()) {
          if (!mma.getAcc()) {
            fresh = true;
            break;
          }
          start = mma.getAcc();
        }
        if (fresh)
          inFlight -= cast<AccType>(acc.getType()).getRegisters();
      }
    }
    if (carried + inFlight > most) {
      most = carried + inFlight;
      at = &op;
    }
  }
  if (most > kMaxAccumulatorRegisters && at)
    return at->emitOpError("brings the accumulators of a thread to ")
           << most << " registers; more than " << kMaxAccumulatorRegisters
           << " spill";
  return success();
}

} // namespace

LogicalResult verifySm90(KernelOp kernel) { return Verifier(kernel).run(); }

} // namespace hadal::sm90

namespace hadal::nvptx {

#define GEN_PASS_DEF_VERIFYSM90
#include "compiler/codegen/nvptx/Passes.h.inc"

namespace {

class VerifySm90 : public impl::VerifySm90Base<VerifySm90> {
public:
  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<sm90::KernelOp>())
      if (failed(sm90::verifySm90(kernel)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace hadal::nvptx
