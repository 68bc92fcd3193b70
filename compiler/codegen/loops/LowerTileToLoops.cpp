// Structure of the lowering: the function, the work-item loop, fold, if,
// liveness and scratch. See TileToLoops.h.
#include "compiler/codegen/loops/TileToLoops.h"

#include "llvm/ADT/TypeSwitch.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hadal;

namespace {



int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool isElementwise(Operation *op) {
  return op && op->hasTrait<OpTrait::Elementwise>() &&
         op->getNumResults() == 1 &&
         isa<RankedTensorType>(op->getResult(0).getType());
}

/// Operations whose result is another look at their source's buffer.
bool isAlias(Operation *op) {
  return isa<tile::SliceOp, tile::TransposeOp, tile::BroadcastOp,
             tile::DeinterleaveOp, tile::ReshapeOp>(op);
}

/// Whether |use|'s owner reads each element of the tile at most once and in any
/// order, so that the tile need not be in memory.
bool fusesOperand(OpOperand &use) {
  Operation *op = use.getOwner();
  if (isElementwise(op))
    return true;
  if (auto dot = dyn_cast<tile::DotOp>(op))
    return &use == &dot.getAccMutable();
  if (auto dot = dyn_cast<tile::DotScaledOp>(op))
    return &use == &dot.getAccMutable();
  if (auto store = dyn_cast<tile::StoreOp>(op))
    return &use == &store.getTileMutable();
  if (auto fold = dyn_cast<tile::FoldOp>(op))
    return use.getOperandNumber() >= 2;
  return isa<tile::ReduceOp, tile::ReduceIntoOp, tile::ConcatOp, tile::YieldOp,
             scf::YieldOp, tile::InterleaveOp, tile::StoreSizeOp, tile::TopKOp,
             tile::ScanOp>(op);
}

} // namespace

bool TileBuffer::isContiguous() const {
  int64_t expected = 1;
  for (auto [extent, stride] :
       llvm::zip(llvm::reverse(shape), llvm::reverse(strides))) {
    if (extent != 1 && stride != expected)
      return false;
    expected *= extent;
  }
  return true;
}

TileLowering::TileLowering(tile::KernelOp kernel,
                           const TileToLoopsOptions &options)
    : b(kernel.getContext()), loc(kernel.getLoc()), kernel(kernel),
      options(options) {}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

FailureOr<func::FuncOp> TileLowering::run() {
  auto ptr = LLVM::LLVMPointerType::get(b.getContext());
  Type i64Type = b.getI64Type();
  b.setInsertionPoint(kernel);
  auto func = func::FuncOp::create(
      b, loc, kernel.getSymName(),
      b.getFunctionType({ptr, i64Type, i64Type, ptr}, {}));
  // Nothing else in the call refers to the worker's scratch.
  func.setArgAttr(3, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
  func.setArgAttr(0, LLVM::LLVMDialect::getReadonlyAttrName(), b.getUnitAttr());
  // Loops over memory must not become calls of memcpy or memset.
  func->setAttr("passthrough",
                b.getStrArrayAttr({"no-builtins", "nounwind"}));
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToStart(entry);
  argArray = entry->getArgument(0);
  scratch = entry->getArgument(3);
  lowerArguments();

  LogicalResult result = success();
  forLoop(entry->getArgument(1), entry->getArgument(2), 1, [&](Value item) {
    // Coordinates: the last dimension varies fastest.
    unsigned numDims = kernel.getNumDims();
    SmallVector<Value> coordinates(numDims);
    Value rest = item;
    for (unsigned i = numDims; i-- > 0;) {
      tile::DomainDimAttr dim = kernel.getDim(i);
      Value point = rest;
      if (i != 0) {
        Value count = i64(ceilDiv(dim.getExtent(), dim.getStep()));
        point = arith::RemUIOp::create(b, loc, rest, count);
        rest = arith::DivUIOp::create(b, loc, rest, count);
      }
      Value arg = kernel.getCoordinates()[i];
      coordinates[i] =
          arith::MulIOp::create(b, loc, point, i64(dim.getStep()));
      setScalar(arg, coordinates[i]);
      if (dim.getExtent() > 0)
        bounds[arg] =
            (ceilDiv(dim.getExtent(), dim.getStep()) - 1) * dim.getStep();
    }
    // Points at or beyond a true size have no work.
    Value inside;
    for (unsigned i = 0; i < numDims; ++i) {
      tile::DomainDimAttr dim = kernel.getDim(i);
      if (dim.getBound() == tile::Bound::None)
        continue;
      Value sizes;
      for (BlockArgument arg : kernel.getKernelArguments())
        if (isa<tile::SizesType>(arg.getType()))
          sizes = scalar(arg);
      auto sizeAt = [&](Value index) {
        Value value = load(b.getI32Type(), gep(sizes, b.getI32Type(), index));
        return Value(arith::ExtSIOp::create(b, loc, i64Type, value));
      };
      Value bound;
      if (dim.getBound() == tile::Bound::ExpertRows) {
        Value expert = coordinates[dim.getBoundDim()];
        int64_t begin = static_cast<int64_t>(tile::SizeName::ExpertBegin);
        Value first = arith::AddIOp::create(b, loc, expert, i64(begin));
        Value next = arith::AddIOp::create(b, loc, expert, i64(begin + 1));
        bound =
            arith::SubIOp::create(b, loc, sizeAt(next), sizeAt(first));
      } else {
        bound =
            sizeAt(i64(static_cast<int64_t>(tile::sizeNameOf(dim.getBound()))));
      }
      Value ok = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                       coordinates[i], bound);
      inside = inside ? Value(arith::AndIOp::create(b, loc, inside, ok)) : ok;
    }
    OpBuilder::InsertionGuard guard(b);
    if (inside) {
      auto guarded = scf::IfOp::create(b, loc, inside, /*withElse=*/false);
      b.setInsertionPoint(guarded.thenBlock()->getTerminator());
    }
    result = lowerBlock(kernel.getBodyBlock());
  });
  if (failed(result)) {
    func.erase();
    return failure();
  }
  func::ReturnOp::create(b, loc);
  func->setAttr("hadal.scratch_bytes", b.getI64IntegerAttr(scratchBytes));
  kernel.erase();
  return func;
}

void TileLowering::lowerArguments() {
  auto ptr = LLVM::LLVMPointerType::get(b.getContext());
  int64_t slot = 0;
  auto next = [&](Type type) -> Value {
    Value address = gep(argArray, b.getI64Type(), i64(slot++));
    auto value = LLVM::LoadOp::create(b, loc, type, address);
    value.setInvariant(true);
    return value;
  };
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto type = dyn_cast<tile::ViewType>(arg.getType());
    if (!type) {
      setScalar(arg, next(ptr));
      continue;
    }
    ViewInfo info;
    info.type = type;
    info.data = next(ptr);
    if (type.isScaled())
      info.scale = next(ptr);
    for (int64_t dim : type.getShape())
      info.extents.push_back(dim < 0 ? next(b.getI64Type()) : i64(dim));
    views[arg] = info;
  }
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

LogicalResult TileLowering::lowerBlock(Block &block) {
  for (Operation &op : block) {
    if (op.hasTrait<OpTrait::IsTerminator>())
      break;
    if (failed(lowerOp(&op)))
      return failure();
  }
  return success();
}

LogicalResult TileLowering::lowerOp(Operation *op) {
  if (options.hooks.skipOp && options.hooks.skipOp(op))
    return success();
  // Temporaries of enclosing operations (a fold) stay.
  SmallVector<Range> outer;
  std::swap(outer, temporaries);
  loc = op->getLoc();
  LogicalResult result = success();
  bool handled = false;
  if (options.hooks.lowerOp)
    result = options.hooks.lowerOp(*this, op, handled);
  if (succeeded(result) && !handled) {
    result =
        llvm::TypeSwitch<Operation *, LogicalResult>(op)
            .Case<tile::FoldOp>([&](auto o) { return lowerFold(o); })
            .Case<scf::IfOp>([&](auto o) { return lowerIf(o); })
            .Case<tile::LoadOp>([&](auto o) { return lowerLoad(o), success(); })
            .Case<tile::StoreOp>(
                [&](auto o) { return lowerStore(o), success(); })
            .Case<tile::ReduceIntoOp>(
                [&](auto o) { return lowerReduceInto(o), success(); })
            .Case<tile::ReadOp>([&](auto o) { return lowerRead(o), success(); })
            .Case<tile::PagedOp>(
                [&](auto o) { return lowerPaged(o); })
            .Case<tile::RowsOp>([&](auto o) { return lowerRows(o); })
            .Case<tile::SizeOp>([&](auto o) { return lowerSize(o), success(); })
            .Case<tile::StoreSizeOp>(
                [&](auto o) { return lowerStoreSize(o), success(); })
            .Case<tile::DimOp>([&](auto o) {
              setScalar(o.getResult(), view(o.getView()).extents[o.getDim()]);
              return success();
            })
            .Case<tile::DotOp>([&](auto o) { return lowerDot(o), success(); })
            .Case<tile::DotScaledOp>(
                [&](auto o) { return lowerDotScaled(o), success(); })
            .Case<tile::ReduceOp>(
                [&](auto o) { return lowerReduce(o), success(); })
            .Case<tile::ScanOp>([&](auto o) { return lowerScan(o), success(); })
            .Case<tile::TopKOp>([&](auto o) { return lowerTopK(o), success(); })
            .Case<tile::QuantizeOp>(
                [&](auto o) { return lowerQuantize(o), success(); })
            .Case<tile::DequantizeOp>(
                [&](auto o) { return lowerDequantize(o), success(); })
            .Case<tile::ConcatOp>(
                [&](auto o) { return lowerConcat(o), success(); })
            .Case<tile::InterleaveOp>(
                [&](auto o) { return lowerInterleave(o), success(); })
            .Default([&](Operation *o) -> LogicalResult {
              if (isAlias(o)) {
                lowerAlias(o);
                return success();
              }
              if (o->getNumResults() != 1)
                return o->emitOpError("has no lowering to loops");
              Value value = o->getResult(0);
              if (!isa<RankedTensorType>(value.getType()))
                return lowerScalarOp(o);
              if (isGenerator(value) || isLazy(value))
                return success();
              if (!isElementwise(o) && !isa<arith::ConstantOp>(o))
                return o->emitOpError("has no lowering to loops");
              TileBuffer dest = destination(value);
              // The result is not registered while its expression is emitted.
              emitInto(value, dest);
              return success();
            });
  }
  for (Range range : temporaries)
    release(range);
  std::swap(outer, temporaries);
  releaseAfter(op);
  if (failed(result))
    return failure();
  return success(!failedEmission);
}

void TileLowering::releaseAfter(Operation *op) {
  for (Range range : freeAfter.lookup(op))
    release(range);
  freeAfter.erase(op);
}

LogicalResult TileLowering::lowerScalarOp(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Value value = emitScalar(op, {});
    setScalar(constant.getResult(), value);
    return success();
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    if (!scalars.contains(operand))
      return op->emitOpError("has no lowering to loops");
    operands.push_back(scalar(operand));
  }
  if (op->getNumRegions() != 0 ||
      !isa<arith::ArithDialect, math::MathDialect>(op->getDialect()))
    return op->emitOpError("has no lowering to loops");
  Value value = emitScalar(op, operands);
  if (!value)
    return failure();
  setScalar(op->getResult(0), value);
  return success();
}

//===----------------------------------------------------------------------===//
// Fold and if
//===----------------------------------------------------------------------===//

LogicalResult TileLowering::lowerFold(tile::FoldOp fold) {
  Block &body = fold.getBody().front();
  SmallVector<TileBuffer> states(fold.getInits().size());
  SmallVector<Value> scalarInits;
  SmallVector<unsigned> scalarIndex;
  for (auto [i, init] : llvm::enumerate(fold.getInits())) {
    if (!isa<RankedTensorType>(init.getType())) {
      scalarInits.push_back(scalar(init));
      scalarIndex.push_back(i);
      continue;
    }
    states[i] = destination(fold.getResult(i));
    emitInto(init, states[i]);
    setBuffer(fold.getState()[i], states[i]);
    stateOf[fold.getState()[i]] = states[i];
  }
  if (auto lo = upperBound(fold.getLo()), hi = upperBound(fold.getHi());
      lo && hi && *hi > 0)
    bounds[fold.getInductionVar()] =
        *lo == 0 && getConstantIntValue(fold.getLo())
            ? (*hi - 1) / int64_t(fold.getStep()) * int64_t(fold.getStep())
            : *hi - 1;

  LogicalResult result = success();
  SmallVector<Value> last = forLoop(
      scalar(fold.getLo()), scalar(fold.getHi()), fold.getStep(), scalarInits,
      [&](Value iv, ValueRange carried) {
        setScalar(fold.getInductionVar(), iv);
        for (auto [i, value] : llvm::zip(scalarIndex, carried))
          setScalar(fold.getState()[i], value);
        result = lowerBlock(body);
        SmallVector<Value> next;
        if (failed(result)) {
          next.assign(carried.begin(), carried.end());
          return next;
        }
        Operation *yield = body.getTerminator();
        SmallVector<TileBuffer> dests;
        SmallVector<Value> values, args;
        for (auto [i, value] : llvm::enumerate(yield->getOperands())) {
          if (!isa<RankedTensorType>(value.getType())) {
            next.push_back(scalar(value));
            continue;
          }
          dests.push_back(states[i]);
          values.push_back(value);
          args.push_back(fold.getState()[i]);
        }
        storeYields(values, dests, args);
        releaseAfter(yield);
        return next;
      });
  for (auto [i, value] : llvm::zip(scalarIndex, last))
    setScalar(fold.getResult(i), value);
  return result;
}

void TileLowering::storeYields(ValueRange values, ArrayRef<TileBuffer> states,
                               ValueRange stateValues) {
  SmallVector<std::pair<TileBuffer, unsigned>> staged;
  SmallVector<Range> outer;
  std::swap(outer, temporaries);
  auto same = [](const TileBuffer &x, const TileBuffer &y) {
    return x.ptr == y.ptr && x.offset == y.offset && x.strides == y.strides;
  };
  // First whatever reads a state elsewhere than at its own element, since the
  // stores below overwrite states.
  for (auto [i, value] : llvm::enumerate(values)) {
    bool crosses = false;
    for (auto [j, state] : llvm::enumerate(stateValues))
      crosses |= i == j ? !readsOnlyInPlace(value, state) : reads(value, state);
    if (crosses) {
      TileBuffer copy = temporary(states[i].elementType, states[i].shape);
      emitInto(value, copy);
      staged.push_back({copy, i});
    }
  }
  for (auto [i, value] : llvm::enumerate(values)) {
    if (llvm::any_of(staged, [&, i = i](auto &s) { return s.second == i; }))
      continue;
    auto it = buffers.find(value);
    if (it != buffers.end() && same(it->second, states[i]))
      continue;
    emitInto(value, states[i]);
  }
  for (auto &[copy, i] : staged)
    loopNest(copy.shape, [&, &copy = copy, i = i](ValueRange at) {
      storeElement(states[i], at, loadElement(copy, at));
    });
  for (Range range : temporaries)
    release(range);
  std::swap(outer, temporaries);
}

LogicalResult TileLowering::lowerIf(scf::IfOp op) {
  SmallVector<Type> scalarTypes;
  for (Value result : op.getResults()) {
    if (isa<RankedTensorType>(result.getType()))
      destination(result);
    else
      scalarTypes.push_back(computeType(result.getType()));
  }
  bool hasElse = !op.getElseRegion().empty();
  auto lowered =
      scf::IfOp::create(b, loc, scalarTypes, scalar(op.getCondition()),
                        /*addThenBlock=*/true, /*addElseBlock=*/hasElse);
  auto branch = [&](Region &from, Region &to) -> LogicalResult {
    if (from.empty())
      return success();
    OpBuilder::InsertionGuard guard(b);
    Block &block = to.front();
    b.setInsertionPointToStart(&block);
    if (failed(lowerBlock(from.front())))
      return failure();
    SmallVector<Value> yielded;
    for (auto [value, result] :
         llvm::zip(from.front().getTerminator()->getOperands(),
                   op.getResults())) {
      if (isa<RankedTensorType>(value.getType()))
        emitInto(value, buffers.lookup(result));
      else
        yielded.push_back(scalar(value));
    }
    releaseAfter(from.front().getTerminator());
    if (!block.empty() && block.back().hasTrait<OpTrait::IsTerminator>())
      block.back().erase();
    b.setInsertionPointToEnd(&block);
    scf::YieldOp::create(b, loc, yielded);
    return success();
  };
  if (failed(branch(op.getThenRegion(), lowered.getThenRegion())) ||
      failed(branch(op.getElseRegion(), lowered.getElseRegion())))
    return failure();
  for (unsigned i = 0, s = 0; i < op.getNumResults(); ++i)
    if (!isa<RankedTensorType>(op.getResult(i).getType()))
      setScalar(op.getResult(i), lowered.getResult(s++));
  return success();
}

//===----------------------------------------------------------------------===//
// Liveness
//===----------------------------------------------------------------------===//

bool TileLowering::isGenerator(Value tile) {
  Operation *op = tile.getDefiningOp();
  if (auto constant = dyn_cast_or_null<arith::ConstantOp>(op))
    return isa<SplatElementsAttr>(constant.getValue());
  return isa_and_nonnull<tile::SplatOp, tile::IotaOp>(op);
}

bool TileLowering::isLazy(Value tile) {
  Operation *op = tile.getDefiningOp();
  if (!isElementwise(op) || !tile.hasOneUse())
    return false;
  OpOperand &use = *tile.use_begin();
  return use.getOwner()->getBlock() == op->getBlock() && fusesOperand(use);
}

void TileLowering::collectUses(Value tile, Block *block,
                               SmallVectorImpl<Operation *> &uses) {
  for (Operation *user : tile.getUsers()) {
    if (Operation *ancestor = block->findAncestorOpInBlock(*user))
      uses.push_back(ancestor);
    bool passesOn = isAlias(user) || isa<tile::RowsOp>(user) ||
                    (user->getNumResults() == 1 && isLazy(user->getResult(0)));
    if (passesOn)
      for (Value result : user->getResults())
        collectUses(result, block, uses);
  }
}

Operation *TileLowering::lastUse(Operation *def) {
  SmallVector<Operation *> uses;
  for (Value result : def->getResults())
    collectUses(result, def->getBlock(), uses);
  Operation *last = def;
  for (Operation *use : uses)
    if (last->isBeforeInBlock(use))
      last = use;
  return last;
}

bool TileLowering::reads(Value tile, Value state) {
  if (tile == state)
    return true;
  Operation *op = tile.getDefiningOp();
  if (!op)
    return false;
  if (isAlias(op) || isLazy(tile))
    return llvm::any_of(op->getOperands(), [&](Value operand) {
      return isa<RankedTensorType>(operand.getType()) && reads(operand, state);
    });
  return false;
}

bool TileLowering::readsOnlyInPlace(Value tile, Value state) {
  if (tile == state)
    return true;
  Operation *op = tile.getDefiningOp();
  if (op && isLazy(tile))
    return llvm::all_of(op->getOperands(), [&](Value operand) {
      return !isa<RankedTensorType>(operand.getType()) ||
             readsOnlyInPlace(operand, state);
    });
  return !reads(tile, state);
}

bool TileLowering::canOverwrite(Value result, Value state) {
  Operation *op = result.getDefiningOp();
  SmallVector<Operation *> uses;
  collectUses(state, op->getBlock(), uses);
  bool readByOp = false;
  for (Operation *use : uses) {
    if (use == op)
      readByOp = true;
    else if (op->isBeforeInBlock(use))
      return false;
  }
  if (!readByOp)
    return true;
  if (op->getNumRegions() != 0)
    return false;
  Value acc;
  if (auto dot = dyn_cast<tile::DotOp>(op))
    acc = dot.getAcc();
  else if (auto dot = dyn_cast<tile::DotScaledOp>(op))
    acc = dot.getAcc();
  else if (!isElementwise(op))
    return false;
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    if (!isa<RankedTensorType>(operand.getType()))
      return true;
    return acc && operand != acc ? !reads(operand, state)
                                 : readsOnlyInPlace(operand, state);
  });
}

//===----------------------------------------------------------------------===//
// Scratch
//===----------------------------------------------------------------------===//

int64_t TileLowering::allocate(int64_t bytes) {
  bytes = llvm::alignTo(std::max<int64_t>(bytes, 1), kAlignment);
  for (Range &range : freeList) {
    if (range.bytes < bytes)
      continue;
    int64_t offset = range.offset;
    range.offset += bytes;
    range.bytes -= bytes;
    return offset;
  }
  int64_t offset = scratchBytes;
  // Grow a free range that ends the arena rather than leave it as a hole.
  for (Range &range : freeList)
    if (range.bytes > 0 && range.offset + range.bytes == scratchBytes) {
      offset = range.offset;
      range.bytes = 0;
      break;
    }
  scratchBytes = offset + bytes;
  return offset;
}

void TileLowering::release(Range range) {
  range.bytes = llvm::alignTo(std::max<int64_t>(range.bytes, 1), kAlignment);
  llvm::erase_if(freeList, [](Range r) { return r.bytes == 0; });
  auto *it = llvm::find_if(
      freeList, [&](Range r) { return r.offset > range.offset; });
  it = freeList.insert(it, range);
  if (std::next(it) != freeList.end() &&
      it->offset + it->bytes == std::next(it)->offset) {
    it->bytes += std::next(it)->bytes;
    freeList.erase(std::next(it));
  }
  if (it != freeList.begin() &&
      std::prev(it)->offset + std::prev(it)->bytes == it->offset) {
    std::prev(it)->bytes += it->bytes;
    freeList.erase(it);
  }
}

TileBuffer TileLowering::allocateBuffer(Type elementType,
                                        ArrayRef<int64_t> shape,
                                        Range &range) {
  TileBuffer result;
  result.elementType = elementType;
  result.shape.assign(shape.begin(), shape.end());
  int64_t elements = 1;
  result.strides.resize(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    result.strides[d] = elements;
    elements *= shape[d];
  }
  range.bytes = elements * storageBytes(elementType, /*scratch=*/true);
  range.offset = allocate(range.bytes);
  result.ptr = gep(scratch, b.getI8Type(), i64(range.offset));
  return result;
}

TileBuffer TileLowering::temporary(Type elementType, ArrayRef<int64_t> shape) {
  Range range;
  TileBuffer result = allocateBuffer(elementType, shape, range);
  temporaries.push_back(range);
  return result;
}

Value TileLowering::temporaryBytes(int64_t bytes) {
  Range range{allocate(bytes), bytes};
  temporaries.push_back(range);
  return gep(scratch, b.getI8Type(), i64(range.offset));
}

Value TileLowering::callBytes(int64_t bytes, bool clearFirstWord) {
  // Fresh and never released: a value of the next work item that is computed
  // before this point may not share it, so space that was freed will not do.
  int64_t offset = scratchBytes;
  scratchBytes += llvm::alignTo(std::max<int64_t>(bytes, 1), kAlignment);
  if (clearFirstWord) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(cast<BlockArgument>(scratch).getOwner());
    store(i64(0), gep(scratch, b.getI8Type(), i64(offset)));
  }
  return gep(scratch, b.getI8Type(), i64(offset));
}

TileBuffer TileLowering::destination(Value result) {
  Operation *op = result.getDefiningOp();
  // A value yielded by a fold's body goes straight into the state where the
  // old state is dead by then.
  if (auto fold = dyn_cast<tile::FoldOp>(op->getParentOp()))
    for (OpOperand &use : result.getUses()) {
      if (!isa<tile::YieldOp>(use.getOwner()))
        continue;
      Value state = fold.getState()[use.getOperandNumber()];
      auto it = stateOf.find(state);
      if (it == stateOf.end() || !canOverwrite(result, state))
        continue;
      TileBuffer dest = it->second;
      stateOf.erase(state); // one value per state
      setBuffer(result, dest);
      return dest;
    }
  auto type = cast<RankedTensorType>(result.getType());
  Range range;
  TileBuffer dest =
      allocateBuffer(type.getElementType(), type.getShape(), range);
  freeAfter[lastUse(op)].push_back(range);
  setBuffer(result, dest);
  return dest;
}

std::optional<int64_t> TileLowering::upperBound(Value index) {
  if (auto constant = getConstantIntValue(index))
    return constant;
  auto it = bounds.find(index);
  if (it != bounds.end())
    return it->second;
  Operation *op = index.getDefiningOp();
  if (!isa_and_nonnull<arith::AddIOp, arith::MulIOp>(op))
    return std::nullopt;
  auto lhs = upperBound(op->getOperand(0)), rhs = upperBound(op->getOperand(1));
  if (!lhs || !rhs || *lhs < 0 || *rhs < 0)
    return std::nullopt;
  return isa<arith::AddIOp>(op) ? *lhs + *rhs : *lhs * *rhs;
}
