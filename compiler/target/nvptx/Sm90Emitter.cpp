#include "compiler/target/nvptx/Sm90Emitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

Sm90Emitter::Sm90Emitter(KernelOp kernel) : kernel(kernel) {}

/// The load behind a dot operand, through slices; null if there is none.
static LoadOp loadOf(Value operand) {
  while (auto slice = operand.getDefiningOp<SliceOp>())
    operand = slice.getSource();
  return operand.getDefiningOp<LoadOp>();
}

LogicalResult Sm90Emitter::planOperands() {
  auto mark = [&](Operation *op, Value operand, bool mayBeRegisters) {
    if (LoadOp load = loadOf(operand)) {
      sharedLoads.insert(load);
      return success();
    }
    if (mayBeRegisters)
      return success();
    return LogicalResult(op->emitOpError(
        "has no sm_90a lowering: operand b is not a loaded tile; wgmma reads b "
        "from shared memory"));
  };
  WalkResult result = kernel.walk([&](Operation *op) {
    Value acc;
    if (auto dot = dyn_cast<DotOp>(op)) {
      if (failed(mark(op, dot.getA(), true)) ||
          failed(mark(op, dot.getB(), false)))
        return WalkResult::interrupt();
      acc = dot.getAcc();
    } else if (auto dot = dyn_cast<DotScaledOp>(op)) {
      if (failed(mark(op, dot.getA(), false)) ||
          failed(mark(op, dot.getB(), false)))
        return WalkResult::interrupt();
      acc = dot.getAcc();
    }
    if (acc && cast<RankedTensorType>(acc.getType()).getDimSize(1) > 256)
      warpgroups = 2;
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult Sm90Emitter::emit(OpBuilder &outer) {
  if (failed(planOperands()))
    return failure();
  MLIRContext *context = kernel.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context, 1);
  auto i64Type = IntegerType::get(context, 64);

  // One kernel parameter per slot, as on the CPU (docs/artifact.md).
  SmallVector<Type> params;
  for (BlockArgument arg : kernel.getKernelArguments()) {
    params.push_back(pointer);
    auto view = dyn_cast<ViewType>(arg.getType());
    if (!view)
      continue;
    if (view.isScaled())
      params.push_back(pointer);
    params.append(view.getNumDynamic(), i64Type);
  }
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                          params);
  auto func = LLVM::LLVMFuncOp::create(outer, kernel.getLoc(),
                                       kernel.getSymName(), type);
  func.setCConv(LLVM::CConv::PTX_Kernel);
  auto strings = [&](StringRef a, const Twine &b) {
    return outer.getArrayAttr(
        {outer.getStringAttr(a), outer.getStringAttr(b)});
  };
  func.setPassthroughAttr(
      outer.getArrayAttr(strings("nvvm.reqntid", Twine(threads()))));
  OpBuilder::InsertionGuard guard(outer);
  Block *entry = func.addEntryBlock(outer);
  builder.emplace(kernel.getLoc(), outer.getContext());
  PtxBuilder &b = *builder;
  b.setInsertionPointToStart(entry);
  emitPrologue(func);

  // Coordinates of the work item; a point beyond a bound does nothing.
  Value item = b.ext64(b.blockId());
  SmallVector<Value> coordinates(kernel.getNumDims());
  for (int i = kernel.getNumDims() - 1; i >= 0; --i) {
    DomainDimAttr dim = kernel.getDim(i);
    Value index = item;
    if (i > 0) {
      int64_t tiles = (dim.getExtent() + dim.getStep() - 1) / dim.getStep();
      index = b.urem(item, b.i64(tiles));
      item = b.udiv(item, b.i64(tiles));
    }
    coordinates[i] = b.mul(index, b.i64(dim.getStep()));
    scalars[kernel.getCoordinates()[i]] = coordinates[i];
  }
  auto sizeAt = [&](Value index) {
    return b.ext64(b.loadGlobal(b.getI32Type(),
                                b.add(sizes, b.mul(index, b.i64(4)))));
  };
  Value active = b.i1(true);
  for (unsigned i = 0; i < kernel.getNumDims(); ++i) {
    DomainDimAttr dim = kernel.getDim(i);
    Value bound;
    switch (dim.getBound()) {
    case Bound::None:
      continue;
    case Bound::Tokens:
      bound = sizeAt(b.i64(0));
      break;
    case Bound::Rows:
      bound = sizeAt(b.i64(1));
      break;
    case Bound::LogitRows:
      bound = sizeAt(b.i64(2));
      break;
    case Bound::ExpertRows: {
      Value e = coordinates[dim.getBoundDim()];
      bound = arith::SubIOp::create(b, sizeAt(b.add(e, b.i64(4))),
                                    sizeAt(b.add(e, b.i64(3))));
      break;
    }
    }
    active = b.bitAnd(active, b.slt(coordinates[i], bound));
  }
  auto ifOp = scf::IfOp::create(b, active, /*withElseRegion=*/false);
  b.setInsertionPointToStart(ifOp.thenBlock());
  if (failed(emitBlock(kernel.getBodyBlock())))
    return failure();
  b.setInsertionPointToEnd(entry);
  LLVM::ReturnOp::create(b, ValueRange());
  if (sharedTop > maxSharedBytes)
    return kernel.emitOpError("needs ")
           << sharedTop << " bytes of shared memory; a CTA of sm_90 has "
           << maxSharedBytes;
  func->setAttr("hadal.shared_bytes", outer.getI64IntegerAttr(sharedTop));
  func->setAttr("hadal.threads", outer.getI64IntegerAttr(threads()));
  return success();
}

void Sm90Emitter::emitPrologue(LLVM::LLVMFuncOp func) {
  PtxBuilder &b = *builder;
  // The dynamic shared memory, one per module.
  auto module = func->getParentOfType<ModuleOp>();
  auto shared = module.lookupSymbol<LLVM::GlobalOp>("hadal_shared");
  if (!shared) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    shared = LLVM::GlobalOp::create(
        b, LLVM::LLVMArrayType::get(b.getI8Type(), 0), /*isConstant=*/false,
        LLVM::Linkage::External, "hadal_shared", Attribute(),
        /*alignment=*/1024, /*addrSpace=*/3);
  }
  Value address = LLVM::AddressOfOp::create(b, shared);
  sharedBase = LLVM::PtrToIntOp::create(b, b.getI32Type(), address);

  thread = b.threadId();
  Value inGroup = b.bitAnd(thread, b.i32(127));
  warpgroup = b.udiv(thread, b.i32(128));
  Value warp = b.udiv(inGroup, b.i32(32));
  Value lane = b.bitAnd(thread, b.i32(31));
  rowInTile = b.ext64(b.add(b.mul(warp, b.i32(16)), b.udiv(lane, b.i32(4))));
  colInTile = b.ext64(b.mul(b.bitAnd(lane, b.i32(3)), b.i32(2)));

  unsigned slot = 0;
  auto next = [&](bool isPointer) -> Value {
    Value arg = func.getArgument(slot++);
    if (isPointer)
      return LLVM::PtrToIntOp::create(b, b.getI64Type(), arg);
    return arg;
  };
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto type = dyn_cast<ViewType>(arg.getType());
    if (!type) {
      sizes = next(true);
      continue;
    }
    ViewRef view;
    view.type = type;
    view.data = next(true);
    if (type.isScaled())
      view.scale = next(true);
    for (int64_t extent : type.getShape())
      view.extents.push_back(extent < 0 ? next(false) : b.i64(extent));
    views[arg] = view;
  }
}

//===----------------------------------------------------------------------===//
// Uniform scalars
//===----------------------------------------------------------------------===//

Value Sm90Emitter::scalar(Value value) {
  return scalar(value, scalars);
}

Value Sm90Emitter::scalar(Value value, DenseMap<Value, Value> &local) {
  if (Value known = local.lookup(value))
    return known;
  if (Value known = scalars.lookup(value))
    return known;
  PtxBuilder &b = *builder;
  Operation *op = value.getDefiningOp();
  assert(op && "a uniform scalar is a coordinate, an argument or computed");
  Value result;
  if (auto size = dyn_cast<SizeOp>(op)) {
    Value index = b.i64(static_cast<int64_t>(size.getName()));
    if (size.getIndex())
      index = b.add(b.i64(3), scalar(size.getIndex(), local));
    result = b.ext64(b.loadGlobal(
        b.getI32Type(), b.add(sizes, b.mul(index, b.i64(4)))));
  } else if (auto read = dyn_cast<ReadOp>(op)) {
    const ViewRef &view = views.find(read.getView())->second;
    SmallVector<Value> indices;
    for (Value index : read.getIndices())
      indices.push_back(scalar(index, local));
    Value linear = indices[0];
    for (size_t i = 1; i < indices.size(); ++i)
      linear = b.add(b.mul(linear, view.extents[i]), indices[i]);
    Type type = view.type.getElementType();
    int64_t bytes = type.getIntOrFloatBitWidth() / 8;
    Value loaded =
        b.loadGlobal(type, b.add(view.data, b.mul(linear, b.i64(bytes))));
    result = bytes == 8 ? loaded
                        : arith::ExtSIOp::create(b, b.getI64Type(), loaded);
  } else if (auto dim = dyn_cast<DimOp>(op)) {
    result = views.find(dim.getView())->second.extents[dim.getDim()];
  } else if (auto cast = dyn_cast<arith::IndexCastOp>(op)) {
    Value in = scalar(cast.getIn(), local);
    unsigned to = cast.getType().isIndex()
                      ? 64
                      : cast.getType().getIntOrFloatBitWidth();
    unsigned from = in.getType().getIntOrFloatBitWidth();
    result = in;
    if (to > from)
      result = arith::ExtSIOp::create(b, b.getI64Type(), in);
    if (to < from)
      result = arith::TruncIOp::create(b, b.getIntegerType(to), in);
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(scalar(operand, local));
    result = scalarOp(op, operands);
  }
  local[value] = result;
  return result;
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

LogicalResult Sm90Emitter::emitBlock(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emitOp(&op)))
      return failure();
  return success();
}

LogicalResult Sm90Emitter::emitOp(Operation *op) {
  if (auto fold = dyn_cast<FoldOp>(op))
    return emitFold(fold);
  if (auto ifOp = dyn_cast<scf::IfOp>(op))
    return emitIf(ifOp);
  if (isa<PagedOp, RowsOp>(op))
    return emitView(op);
  if (auto load = dyn_cast<LoadOp>(op))
    return emitLoad(load);
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
  if (isa<SplatOp, BroadcastOp, IotaOp, ReshapeOp, SliceOp>(op))
    return emitShapeOp(op);
  if (isa<SizeOp, ReadOp, DimOp>(op)) {
    scalar(op->getResult(0));
    return success();
  }
  StringRef dialect = op->getName().getDialectNamespace();
  if ((dialect == "arith" || dialect == "math") && op->getNumResults() == 1) {
    if (isa<RankedTensorType>(op->getResult(0).getType()))
      return emitElementwise(op);
    scalar(op->getResult(0));
    return success();
  }
  return op->emitOpError("has no sm_90a lowering yet");
}

LogicalResult Sm90Emitter::emitIf(scf::IfOp op) {
  if (op.getNumResults() != 0)
    return op.emitOpError("with results has no sm_90a lowering yet");
  PtxBuilder &b = *builder;
  Value condition = scalar(op.getCondition());
  bool hasElse = op.elseBlock() != nullptr;
  auto lowered = scf::IfOp::create(b, condition, hasElse);
  OpBuilder::InsertionGuard guard(b);
  // What a branch computed is not available behind it.
  DenseMap<Value, Value> saved = scalars;
  b.setInsertionPointToStart(lowered.thenBlock());
  if (failed(emitBlock(*op.thenBlock())))
    return failure();
  scalars = saved;
  if (hasElse) {
    b.setInsertionPointToStart(lowered.elseBlock());
    if (failed(emitBlock(*op.elseBlock())))
      return failure();
    scalars = saved;
  }
  return success();
}

// lo .. hi with the shared operands of the body in a ring of two stages:
//   copy(lo -> 0)
//   for k: copy(k + step -> other); wait for this stage; fence; barrier;
//          compute; barrier (the stage may be overwritten next time)
LogicalResult Sm90Emitter::emitFold(FoldOp fold) {
  PtxBuilder &b = *builder;
  Block &body = fold.getBody().front();
  struct Staged {
    LoadOp load;
    int64_t offset, bytes;
  };
  SmallVector<Staged> staged;
  for (LoadOp load : body.getOps<LoadOp>()) {
    if (!sharedLoads.contains(load))
      continue;
    auto type = cast<RankedTensorType>(load.getTile().getType());
    int64_t elementBytes = type.getElementTypeBitWidth() / 8;
    int64_t chunks = (type.getDimSize(1) * elementBytes + 127) / 128;
    int64_t bytes = chunks * type.getDimSize(0) * 128;
    staged.push_back({load, allocateShared(2 * bytes), bytes});
  }
  Value lo = scalar(fold.getLo()), hi = scalar(fold.getHi());
  Value step = b.i64(fold.getStep());

  auto stageBase = [&](const Staged &s, Value stage) {
    return b.add(b.add(sharedBase, b.i32(s.offset)),
                 b.mul(stage, b.i32(s.bytes)));
  };
  auto issue = [&](Value iv, Value stage) {
    DenseMap<Value, Value> local;
    local[fold.getInductionVar()] = iv;
    for (Staged &s : staged) {
      SmallVector<Value> indices;
      for (Value index : s.load.getIndices())
        indices.push_back(scalar(index, local));
      copyTile(s.load, indices, stageBase(s, stage));
    }
  };

  // The state as registers.
  SmallVector<Fragment> state;
  SmallVector<Value> inits;
  for (Value init : fold.getInits()) {
    FailureOr<Fragment> frag = materialize(fold, init);
    if (failed(frag))
      return failure();
    state.push_back(*frag);
    inits.append(frag->regs.begin(), frag->regs.end());
  }
  inits.push_back(b.i32(0)); // the stage

  if (!staged.empty()) {
    auto any = scf::IfOp::create(b, b.slt(lo, hi), false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(any.thenBlock());
    issue(lo, b.i32(0));
  }
  if (!staged.empty())
    b.copyAsyncCommit();

  auto loop = scf::ForOp::create(b, lo, hi, step, inits);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    DenseMap<Value, Value> savedScalars = scalars;
    DenseMap<Value, TileValue> savedTiles = tiles;
    Value iv = loop.getInductionVar();
    Value stage = loop.getRegionIterArgs().back();
    Value other = b.bitXor(stage, b.i32(1));
    if (!staged.empty()) {
      Value next = b.add(iv, step);
      auto more = scf::IfOp::create(b, b.slt(next, hi), false);
      {
        OpBuilder::InsertionGuard inner(b);
        b.setInsertionPointToStart(more.thenBlock());
        issue(next, other);
      }
      b.copyAsyncCommit();
      b.copyAsyncWait(1);
      b.fenceProxyAsync();
      b.barrier();
      copiesPending = false;
    }
    scalars[fold.getInductionVar()] = iv;
    unsigned reg = 0;
    for (auto [arg, frag] : llvm::zip(fold.getState(), state)) {
      TileValue value;
      value.kind = TileValue::fragment;
      value.frag = frag;
      for (Value &r : value.frag.regs)
        r = loop.getRegionIterArgs()[reg++];
      tiles[arg] = value;
    }
    for (Staged &s : staged) {
      auto type = cast<RankedTensorType>(s.load.getTile().getType());
      TileValue value;
      value.kind = TileValue::shared;
      value.smem = {stageBase(s, stage), type.getDimSize(0),
                    type.getDimSize(1), 0, type.getDimSize(1),
                    type.getElementType()};
      tiles[s.load.getTile()] = value;
    }
    if (failed(emitBlock(body)))
      return failure();
    SmallVector<Value> yields;
    for (Value value : body.getTerminator()->getOperands()) {
      FailureOr<Fragment> frag = materialize(fold, value);
      if (failed(frag))
        return failure();
      yields.append(frag->regs.begin(), frag->regs.end());
    }
    if (!staged.empty())
      b.barrier();
    yields.push_back(other);
    scf::YieldOp::create(b, yields);
    scalars = std::move(savedScalars);
    tiles = std::move(savedTiles);
  }
  unsigned reg = 0;
  for (auto [result, frag] : llvm::zip(fold.getResults(), state)) {
    TileValue value;
    value.kind = TileValue::fragment;
    value.frag = frag;
    for (Value &r : value.frag.regs)
      r = loop.getResult(reg++);
    tiles[result] = value;
  }
  if (!staged.empty()) {
    b.copyAsyncWait(0);
    copiesPending = false;
  }
  return success();
}

} // namespace hadal::nvptx
