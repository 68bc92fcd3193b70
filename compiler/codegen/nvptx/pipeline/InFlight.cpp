// A main fold whose one product accumulates in place: while wgmma works on one
// stage, the next is waited for and issued. A stage is given back when the
// wgmma after its own is in flight.
//
// FP8 is not among them. Its promotion reads each product, and ptxas serialises
// the wgmmas of a loop that carries another in flight beside it (warning
// C7514). The promotion costs 64 of the 320 clocks of a 64x128 tile's step of
// 128. Two warpgroups hide it: the tensor core serves one after the other, so
// that one promotes while the other multiplies. A single one has a tile of at
// most 64 rows, whose step brings 16 KiB of weights: even at 24 bytes per clock
// that takes 680 clocks, and the tensor core waits anyway.
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

// Two accumulators in flight over a back-edge would be serialised by ptxas; a
// fold with more than one product, or one that is promoted, waits for each.
DotOp PipelineEmitter::dotInFlight(FoldOp fold) const {
  Block &body = fold.getBody().front();
  const RingPlan *ring = ringOf(&body);
  if (!ring || fold->getNumResults() != 1 || transposedBlocks > 1)
    return {};
  auto dot = body.getTerminator()->getOperand(0).getDefiningOp<DotOp>();
  if (!dot || dot->getBlock() != &body || dot.getAcc() != fold.getState()[0] ||
      !fold.getState()[0].hasOneUse() || ring->lastUse != dot)
    return {};
  // Besides it only loads of the ring and scalars.
  for (Operation &op : body.without_terminator()) {
    bool isTile = llvm::any_of(op.getResultTypes(),
                               llvm::IsaPred<RankedTensorType>);
    if (&op != dot && (op.getNumRegions() ||
                       (isTile && !sharedLoads.contains(&op))))
      return {};
  }
  bool loadsA = dot.getA().getDefiningOp<LoadOp>() != nullptr;
  return loadsA ? dot : DotOp();
}

/// Issues the product of one step, which continues |acc| (null: starts at zero).
FailureOr<Value> PipelineEmitter::issueStep(FoldOp fold, DotOp dot,
                                            Value iteration, Value acc) {
  sm90::AsmBuilder &b = *builder;
  Block &body = fold.getBody().front();
  const RingPlan *ring = ringOf(&body);
  openStage(*ring, iteration);
  for (Operation &op : body.without_terminator())
    if (&op != dot && failed(emitOp(&op)))
      return failure();
  int64_t k = cast<RankedTensorType>(dot.getA().getType()).getDimSize(1);
  Operands operands;
  if (transposed()) {
    FailureOr<SmallVector<Operands>> blocks =
        operandsTransposed(dot, dot.getA(), dot.getB(), 0, k);
    if (failed(blocks))
      return failure();
    operands = blocks->front();
  } else {
    FailureOr<Operands> found = operandsOf(
        dot, dot.getA(), dot.getB(), dot.getTb(), 0, k,
        layoutOf(cast<RankedTensorType>(dot.getAcc().getType())));
    if (failed(found))
      return failure();
    operands = *found;
  }
  // The accumulator is not touched between wgmmas: nothing is tied here.
  sm90::MmaFenceOp::create(b, TypeRange(), ValueRange());
  Value product = issue(operands, acc);
  sm90::MmaCommitOp::create(b);
  open.pop_back();
  return product;
}

FailureOr<Fragment> PipelineEmitter::emitFoldInFlight(FoldOp fold, DotOp dot,
                                                      Fragment state) {
  sm90::AsmBuilder &b = *builder;
  Block &body = fold.getBody().front();
  const RingPlan *ring = ringOf(&body);
  Value step = b.i64(fold.getStep()), first = scalars.lookup(ring->ring);
  auto atStep = [&](Value iv, Value iteration, Value acc) {
    Scalars savedScalars = scalars;
    DenseMap<Value, TileValue> savedTiles = tiles;
    scalars[fold.getInductionVar()] = iv;
    FailureOr<Value> product = issueStep(fold, dot, iteration, acc);
    scalars = std::move(savedScalars);
    tiles = std::move(savedTiles);
    return product;
  };
  // Every part has a step.
  FailureOr<Value> product = atStep(rangeLo, first, Value());
  if (failed(product))
    return failure();
  sm90::HoldOp::create(b, ring->ring, first);
  auto loop = scf::ForOp::create(b, b.add(rangeLo, step), rangeHi, step,
                                 ValueRange{*product, first});
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value held = loop.getRegionIterArg(1);
    Value iteration = b.add(held, b.i64(1));
    product = atStep(loop.getInductionVar(), iteration,
                     loop.getRegionIterArg(0));
    if (failed(product))
      return failure();
    sm90::HoldOp::create(b, ring->ring, iteration);
    // All but the newest group: the wgmma of the step before has read its
    // stage.
    auto wait = sm90::MmaWaitOp::create(
        b, TypeRange(), TypeRange(product->getType()), ValueRange(),
        ValueRange(*product), ValueRange(), /*pending=*/1);
    sm90::DropOp::create(b, ring->ring, held);
    scf::YieldOp::create(b, ValueRange{wait.getInFlight()[0], iteration});
  }
  auto wait = sm90::MmaWaitOp::create(
      b, TypeRange(VectorType::get({state.count()}, b.getF32Type())),
      TypeRange(), ValueRange(loop.getResult(0)), ValueRange(), ValueRange(),
      /*pending=*/0);
  sm90::DropOp::create(b, ring->ring, loop.getResult(1));
  scalars[ring->ring] = b.add(loop.getResult(1), b.i64(1));
  state.regs = wait.getValues()[0];
  return state;
}

} // namespace hadal::nvptx
