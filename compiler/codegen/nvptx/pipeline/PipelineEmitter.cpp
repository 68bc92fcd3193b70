// Structure: arguments, roles, work items, blocks, folds.
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

#include "compiler/codegen/nvptx/common/SplitFold.h"
#include "compiler/codegen/nvptx/common/WorkItem.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

FailureOr<sm90::KernelOp> PipelineEmitter::emit(OpBuilder &outer) {
  if (failed(plan()))
    return failure();
  MLIRContext *context = kernel.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context, 1);
  auto i64Type = IntegerType::get(context, 64);
  SmallVector<Type> slots;
  for (BlockArgument arg : kernel.getKernelArguments()) {
    slots.push_back(pointer);
    auto view = dyn_cast<ViewType>(arg.getType());
    if (!view)
      continue;
    if (view.isScaled())
      slots.push_back(pointer);
    slots.append(view.getNumDynamic(), i64Type);
  }
  if (split > 1)
    slots.push_back(pointer);
  target = sm90::KernelOp::create(outer, kernel.getLoc(), kernel.getSymName(),
                                  128 * (warpgroups + 1), slots);
  if (ctasPerSm > 1)
    target.setCtasPerSm(ctasPerSm);
  if (split > 1) {
    SplitLayout layout{128 * warpgroups, stateRegisters(), split};
    target.setCtasPerItem(split);
    target.setWorkspacePerItem(layout.bytesPerItem());
  }
  builder.emplace(kernel.getLoc(), context);
  sm90::AsmBuilder &b = *builder;
  b.setInsertionPointToEnd(&target.getBodyBlock());
  emitArguments(target);

  for (auto &ring : rings) {
    SmallVector<Type> types;
    for (LoadOp load : ring->loads)
      types.push_back(tileTypeOf(load));
    ring->ring = sm90::RingOp::create(
        b, sm90::RingType::get(context, ring->stages, types), 4 * warpgroups);
  }
  auto sharedPointer = LLVM::LLVMPointerType::get(context, 3);
  if (columnParts > 1 && splitColumns <= 256)
    exchange =
        sm90::SharedOp::create(b, sharedPointer, columnParts * 64 * 4, 16);
  if (transposed())
    staging = sm90::SharedOp::create(b, sharedPointer, stagingBytes(), 16);
  if (split > 1)
    splitFlag = createSplitFlag(b);
  // First of all: it only lets CTAs of the next kernel start, which wait for
  // the end of this one before they touch what it writes (PTX ISA,
  // "griddepcontrol").
  sm90::PdlLaunchOp::create(b);
  auto roles = sm90::RolesOp::create(b, warpgroups, registers.load,
                                     registers.mma);
  Scalars arguments = scalars;
  auto views0 = std::move(views);
  for (bool asProducer : {true, false}) {
    scalars = arguments;
    tiles.clear();
    views.clear();
    for (auto &[value, view] : views0)
      views[value] = std::make_unique<ViewRef>(*view);
    Block &block = asProducer ? roles.getLoad().front() : roles.getMma().front();
    b.setInsertionPointToEnd(&block);
    if (failed(emitRole(asProducer,
                        asProducer ? Value() : block.getArgument(0))))
      return failure();
  }
  return target;
}

LogicalResult PipelineEmitter::emitRole(bool asProducer, Value group) {
  sm90::AsmBuilder &b = *builder;
  producer = asProducer;
  Value tid = sm90::SregOp::create(b, b.getI32Type(), sm90::Sreg::Tid);
  lane = b.bitAnd(tid, b.i32(31));
  if (!producer) {
    this->group = group;
    Value warp = b.bitAnd(b.shr(tid, 5), b.i32(3));
    rowInGroup = b.add(b.shl(warp, 4), b.shr(lane, 2));
    quadColumn = b.bitAnd(lane, b.i32(3));
    columnPart = group;
    if (transposed())
      placeTransposed(warp);
  }
  for (auto &ring : rings)
    scalars[ring->ring] = b.i64(0);

  item = sm90::SregOp::create(b, b.getI32Type(), sm90::Sreg::Ctaid);
  if (split > 1) {
    part = b.urem(item, b.i32(split));
    item = b.udiv(item, b.i32(split));
  }
  SmallVector<Value> coordinates = emitCoordinates(b, kernel, item);
  for (auto [coordinate, value] :
       llvm::zip(kernel.getCoordinates(), coordinates))
    scalars[coordinate] = value;
  emitRange();
  if (producer && early && failed(emitEarlyLoads()))
    return failure();
  // Each thread that touches what other kernels do waits for itself: both
  // roles. Ahead of the wait only the early loads read memory; `sizes`, too,
  // may be written until then.
  sm90::PdlWaitOp::create(b);
  if (producer && early && failed(loadStages(/*beforeWait=*/false)))
    return failure();
  // A point beyond a bound does nothing. Both roles read the same sizes: a
  // stage that only one of them came to would be waited for without end.
  if (Value active = emitInside(b, kernel, coordinates,
                                [&](Value index) { return sizeAt(index); })) {
    bool drains = !producer && early;
    auto ifOp = scf::IfOp::create(b, TypeRange(), active,
                                  /*withElseRegion=*/drains);
    if (drains) {
      b.setInsertionPoint(ifOp.elseBlock()->getTerminator());
      drainEarlyLoads();
    }
    b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
  }
  return emitBlock(kernel.getBodyBlock());
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

const PipelineEmitter::RingPlan *
PipelineEmitter::ringOf(Block *block) const {
  for (auto &ring : rings)
    if (ring->block == block)
      return ring.get();
  return nullptr;
}

/// Waits for the stage of |plan| and maps its loads to the stage's tiles.
void PipelineEmitter::openStage(const RingPlan &plan, Value iteration) {
  sm90::AsmBuilder &b = *builder;
  auto type = cast<sm90::RingType>(plan.ring.getType());
  ValueRange stage;
  if (producer)
    stage = sm90::AcquireOp::create(b, type.getTiles(), plan.ring, iteration)
                .getTiles();
  else
    stage = sm90::AwaitOp::create(b, type.getTiles(), plan.ring, iteration)
                .getTiles();
  for (auto [i, tile] : llvm::enumerate(stage)) {
    LoadOp load = plan.loads[i];
    TileValue value;
    value.kind = TileValue::shared;
    value.value = tile;
    tiles[load.getTile()] = value;
  }
  open.push_back({&plan, iteration, false});
}

void PipelineEmitter::closeStage() {
  OpenStage &stage = open.back();
  if (producer)
    sm90::CommitOp::create(*builder, stage.plan->ring, stage.iteration);
  else if (!stage.released)
    sm90::ReleaseOp::create(*builder, stage.plan->ring, stage.iteration);
  open.pop_back();
}

/// Releases the innermost stage if |op| was the last to read it.
void PipelineEmitter::releaseAfter(Operation *op) {
  if (producer || open.empty() || open.back().released ||
      open.back().plan->lastUse != op)
    return;
  sm90::ReleaseOp::create(*builder, open.back().plan->ring,
                          open.back().iteration);
  open.back().released = true;
}

LogicalResult PipelineEmitter::emitBlock(Block &block) {
  const RingPlan *plan = ringOf(&block);
  bool opened = false;
  for (Operation &op : block.without_terminator()) {
    if (plan && !opened && isa<LoadOp>(op) && sharedLoads.contains(&op)) {
      openStage(*plan, scalars.lookup(plan->ring));
      opened = true;
    }
    builder->setLoc(op.getLoc());
    if (failed(emitOp(&op)))
      return failure();
    if (opened)
      releaseAfter(&op);
  }
  if (!block.empty() && block.back().hasTrait<OpTrait::IsTerminator>() == false)
    if (failed(emitOp(&block.back())))
      return failure();
  if (opened)
    closeStage();
  return success();
}

LogicalResult PipelineEmitter::emitOp(Operation *op) {
  if (auto fold = dyn_cast<FoldOp>(op))
    return emitFold(fold);
  if (auto ifOp = dyn_cast<scf::IfOp>(op))
    return emitIf(ifOp);
  if (isa<PagedOp, RowsOp>(op))
    return emitView(op);
  if (auto load = dyn_cast<LoadOp>(op))
    return emitLoad(load);
  if (isa<SizeOp, ReadOp, DimOp>(op)) {
    scalar(op->getResult(0));
    return success();
  }
  if (isa<SplatOp, BroadcastOp, IotaOp, ReshapeOp, SliceOp, ConcatOp,
          DeinterleaveOp, InterleaveOp>(op))
    return emitShape(op);
  StringRef dialect = op->getName().getDialectNamespace();
  if ((dialect == "arith" || dialect == "math") && op->getNumResults() == 1) {
    if (isa<RankedTensorType>(op->getResult(0).getType()))
      return emitElementwise(op);
    scalar(op->getResult(0));
    return success();
  }
  if (producer && isa<StoreOp, DotOp, DotScaledOp, ReduceOp, QuantizeOp>(op))
    return success();
  if (auto store = dyn_cast<StoreOp>(op))
    return emitStore(store);
  if (auto dot = dyn_cast<DotOp>(op))
    return emitDot(dot);
  if (auto dot = dyn_cast<DotScaledOp>(op))
    return emitDotScaled(dot);
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return emitReduce(reduce);
  if (auto quantize = dyn_cast<QuantizeOp>(op))
    return emitQuantize(quantize);
  return op->emitOpError("has no sm_90a lowering in a kernel with contractions");
}

LogicalResult PipelineEmitter::emitIf(scf::IfOp op) {
  if (op.getNumResults() != 0)
    return op.emitOpError("has no sm_90a lowering with results");
  sm90::AsmBuilder &b = *builder;
  Value condition = scalar(op.getCondition());
  bool hasElse = op.elseBlock() != nullptr;
  auto lowered = scf::IfOp::create(b, TypeRange(), condition, hasElse);
  OpBuilder::InsertionGuard guard(b);
  // What a branch computed is not available behind it.
  Scalars saved = scalars;
  b.setInsertionPoint(lowered.thenBlock()->getTerminator());
  if (failed(emitBlock(*op.thenBlock())))
    return failure();
  scalars = saved;
  if (hasElse) {
    b.setInsertionPoint(lowered.elseBlock()->getTerminator());
    if (failed(emitBlock(*op.elseBlock())))
      return failure();
    scalars = saved;
  }
  return success();
}

// The loop carries the state, the scales of the step (loaded one step ahead, to
// be there when the products are) and the ring's iteration.
LogicalResult PipelineEmitter::emitFold(FoldOp fold) {
  sm90::AsmBuilder &b = *builder;
  Block &body = fold.getBody().front();
  const RingPlan *ring = ringOf(&body);
  Value step = b.i64(fold.getStep());
  Value lo, hi;
  if (fold == mainFold) {
    lo = rangeLo, hi = rangeHi;
    // The early stages are uses 0 .. of the ring, which emitEarlyLoads filled;
    // the consumers begin with use 0.
    if (producer && early)
      lo = b.add(lo, b.mul(earlySteps, step));
  } else {
    lo = scalar(fold.getLo()), hi = scalar(fold.getHi());
  }
  SmallVector<Fragment> state;
  SmallVector<Value> inits;
  struct Ahead {
    LoadOp load;
    bool ofA;
  };
  SmallVector<Ahead> ahead;
  auto indicesAt = [&](LoadOp load, Value iv) {
    Scalars local;
    local[fold.getInductionVar()] = iv;
    SmallVector<Value> indices;
    for (Value index : load.getIndices())
      indices.push_back(scalar(index, local));
    return indices;
  };
  auto scalesAt = [&](const Ahead &a, Value iv) {
    SmallVector<Value> indices = indicesAt(a.load, iv);
    return loadScales(a.load, indices, a.ofA);
  };
  if (!producer) {
    for (Value init : fold.getInits()) {
      FailureOr<Fragment> frag =
          transposed() ? materialize(fold, init,
                                     transposedLayout(cast<RankedTensorType>(
                                         init.getType())))
                       : materialize(fold, init);
      if (failed(frag))
        return failure();
      state.push_back(*frag);
      inits.push_back(frag->regs);
    }
    if (ring)
      for (LoadOp load : ring->loads)
        if (Value s = load.getScales(); s && !s.use_empty()) {
          auto dot = dyn_cast<DotScaledOp>(*s.user_begin());
          ahead.push_back({load, dot && dot.getSa() == s});
        }
    // Of a range that may be empty: the addresses are clamped into the view.
    for (const Ahead &a : ahead)
      inits.push_back(scalesAt(a, lo));
  }
  if (DotOp dot = producer || fold != mainFold ? DotOp() : dotInFlight(fold);
      dot && tiles.lookup(fold.getInits()[0]).zero) {
    FailureOr<Fragment> sum = emitFoldInFlight(fold, dot, state[0]);
    if (failed(sum))
      return failure();
    state[0] = *sum;
    return finishFold(fold, state);
  }
  if (ring)
    inits.push_back(scalars.lookup(ring->ring));

  auto loop = scf::ForOp::create(b, lo, hi, step, inits);
  {
    OpBuilder::InsertionGuard guard(b);
    if (inits.empty())
      b.setInsertionPoint(loop.getBody()->getTerminator());
    else
      b.setInsertionPointToStart(loop.getBody());
    Scalars savedScalars = scalars;
    DenseMap<Value, TileValue> savedTiles = tiles;
    Value iv = loop.getInductionVar();
    scalars[fold.getInductionVar()] = iv;
    auto args = loop.getRegionIterArgs();
    if (ring)
      scalars[ring->ring] = args.back();
    SmallVector<Value> yields;
    SmallVector<Value> nextScales;
    if (!producer) {
      for (auto [i, frag] : llvm::enumerate(state)) {
        Fragment inside = frag;
        inside.regs = args[i];
        setFragment(fold.getState()[i], inside);
      }
      // In the last step its own scales once more, which nobody uses.
      Value next = b.add(iv, step);
      next = arith::SelectOp::create(
          b, b.cmp(arith::CmpIPredicate::slt, next, hi), next, iv);
      for (auto [i, a] : llvm::enumerate(ahead)) {
        TileValue value;
        value.kind = TileValue::scales;
        value.value = args[state.size() + i];
        tiles[a.load.getScales()] = value;
        nextScales.push_back(scalesAt(a, next));
      }
    }
    if (failed(emitBlock(body)))
      return failure();
    if (!producer) {
      for (auto [value, frag] :
           llvm::zip(body.getTerminator()->getOperands(), state)) {
        FailureOr<Fragment> result = materialize(fold, value, frag);
        if (failed(result))
          return failure();
        yields.push_back(result->regs);
      }
      llvm::append_range(yields, nextScales);
    }
    if (ring)
      yields.push_back(b.add(args.back(), b.i64(1)));
    if (!inits.empty())
      scf::YieldOp::create(b, yields);
    scalars = std::move(savedScalars);
    tiles = std::move(savedTiles);
  }
  for (auto [i, frag] : llvm::enumerate(state))
    frag.regs = loop.getResult(i);
  if (ring)
    scalars[ring->ring] = loop.getResults().back();
  return finishFold(fold, state);
}

/// Makes |state| the result of |fold|; of one that is split, in the last part.
LogicalResult PipelineEmitter::finishFold(FoldOp fold,
                                          MutableArrayRef<Fragment> state) {
  if (fold == mainFold && split > 1 && !producer && failed(joinParts(state)))
    return failure();
  for (auto [i, frag] : llvm::enumerate(state))
    setFragment(fold.getResult(i), frag.blocks ? toRows(frag) : frag);
  return success();
}

} // namespace hadal::nvptx
