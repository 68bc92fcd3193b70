// The fold that a kernel's time goes into: its steps in this CTA, and the loads
// of its first stages that need not wait for other kernels.
//
// With the word `early` the producer asks for the weights of the ring's first
// stages before griddepcontrol.wait: they are on their way while the previous
// kernel ends. The activations of these stages follow behind the wait. A stage
// expects the bytes of both, so that they follow even in a launch without rows,
// whose consumers then wait for the stages and leave.
#include "compiler/codegen/nvptx/common/WorkItem.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// True if |index| follows from the work item, |iv| and constants alone.
static bool isKnownAtStart(Value index, KernelOp kernel, Value iv) {
  if (index == iv || llvm::is_contained(kernel.getCoordinates(), index))
    return true;
  Operation *op = index.getDefiningOp();
  return op && op->getName().getDialectNamespace() == "arith" &&
         llvm::all_of(op->getOperands(), [&](Value operand) {
           return isKnownAtStart(operand, kernel, iv);
         });
}

bool PipelineEmitter::isEarly(LoadOp load) const {
  FoldOp fold = mainFold;
  return isConstant(load.getView()) &&
         llvm::all_of(load.getIndices(), [&](Value index) {
           return isKnownAtStart(index, kernel, fold.getInductionVar());
         });
}

int64_t PipelineEmitter::stepsOf(FoldOp fold) {
  int64_t lo = *getConstantIntValue(fold.getLo()),
          hi = *getConstantIntValue(fold.getHi());
  return llvm::divideCeil(std::max<int64_t>(hi - lo, 0), fold.getStep());
}

FoldOp PipelineEmitter::findMainFold() const {
  FoldOp only;
  for (auto &ring : rings) {
    auto fold = dyn_cast<FoldOp>(ring->block->getParentOp());
    if (!fold || fold->getBlock() != &kernel->getRegion(0).front() || only)
      return {};
    only = fold;
  }
  if (!only || !getConstantIntValue(only.getLo()) ||
      !getConstantIntValue(only.getHi()))
    return {};
  return only;
}

LogicalResult PipelineEmitter::planMainFold() {
  mainFold = findMainFold();
  if (failed(planSplit()))
    return failure();
  if (early == 0)
    return success();
  if (!mainFold)
    return refuseWord("early", Twine(early))
           << "the kernel has no one fold of contractions over a range that is "
              "known";
  const RingPlan *ring = ringOf(&mainFold.getBody().front());
  if (llvm::none_of(ring->loads, [&](LoadOp load) { return isEarly(load); }))
    return refuseWord("early", Twine(early))
           << "no load of its fold is of a parameter at a place that is known "
              "at the start";
  // The other loads of an early stage are issued outside of the body: their
  // views must be arguments.
  for (LoadOp load : ring->loads)
    if (!isa<BlockArgument>(load.getView()))
      return refuseWord("early", Twine(early))
             << "a load of its fold is of a view that the body makes";
  if (early > stepsOf(mainFold))
    return refuseWord("early", Twine(early))
           << "its fold has " << stepsOf(mainFold) << " steps";
  return success();
}

void PipelineEmitter::emitRange() {
  if (!mainFold)
    return;
  sm90::AsmBuilder &b = *builder;
  rangeLo = scalar(mainFold.getLo());
  rangeHi = scalar(mainFold.getHi());
  int64_t steps = stepsOf(mainFold);
  if (split == 1) {
    earlySteps = b.i64(early);
    return;
  }
  // Parts of whole steps from |lo| on; the last may have fewer.
  Value first = b.mul(arith::ExtUIOp::create(b, b.getI64Type(), part),
                      b.i64(partSteps));
  Value count = arith::MinUIOp::create(
      b, b.i64(partSteps), arith::SubIOp::create(b, b.i64(steps), first));
  Value step = b.i64(mainFold.getStep());
  Value begin = b.add(rangeLo, b.mul(first, step));
  rangeHi = arith::MinSIOp::create(b, rangeHi,
                                   b.add(begin, b.mul(count, step)));
  rangeLo = begin;
  earlySteps = arith::MinUIOp::create(b, count, b.i64(early));
}

/// Issues the loads of the early steps: those before the wait, or the others.
LogicalResult PipelineEmitter::loadStages(bool beforeWait) {
  sm90::AsmBuilder &b = *builder;
  const RingPlan *ring = ringOf(&mainFold.getBody().front());
  auto type = cast<sm90::RingType>(ring->ring.getType());
  auto loop = scf::ForOp::create(b, b.i64(0), earlySteps, b.i64(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  Value iteration = loop.getInductionVar();
  ValueRange stage;
  // A ring has at least as many stages as are early: all are empty.
  if (beforeWait)
    stage = sm90::AcquireOp::create(b, type.getTiles(), ring->ring, iteration)
                .getTiles();
  else
    stage = sm90::ResumeOp::create(b, type.getTiles(), ring->ring, iteration)
                .getTiles();
  Scalars local;
  local[mainFold.getInductionVar()] =
      b.add(rangeLo, b.mul(iteration, b.i64(mainFold.getStep())));
  open.push_back({ring, iteration, false});
  for (auto [load, tile] : llvm::zip(ring->loads, stage))
    if (isEarly(load) == beforeWait && failed(loadShared(load, tile, local)))
      return failure();
  open.pop_back();
  if (beforeWait)
    sm90::DeferOp::create(b, ring->ring, iteration);
  else
    sm90::CommitOp::create(b, ring->ring, iteration);
  return success();
}

LogicalResult PipelineEmitter::emitEarlyLoads() {
  const RingPlan *ring = ringOf(&mainFold.getBody().front());
  scalars[ring->ring] = earlySteps;
  return loadStages(/*beforeWait=*/true);
}

/// A CTA must not end before the copies into its shared memory have.
void PipelineEmitter::drainEarlyLoads() {
  sm90::AsmBuilder &b = *builder;
  const RingPlan *ring = ringOf(&mainFold.getBody().front());
  auto type = cast<sm90::RingType>(ring->ring.getType());
  auto loop = scf::ForOp::create(b, b.i64(0), earlySteps, b.i64(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  Value iteration = loop.getInductionVar();
  sm90::AwaitOp::create(b, type.getTiles(), ring->ring, iteration);
  sm90::ReleaseOp::create(b, ring->ring, iteration);
}

} // namespace hadal::nvptx
