// Structure: parameters, work items, control flow and uniform scalars.
#include "compiler/codegen/nvptx/common/WorkItem.h"
#include "compiler/codegen/nvptx/simt/SimtEmitter.h"
#include "compiler/codegen/nvptx/simt/SimtPrepare.h"

#include <numeric>

#include "llvm/ADT/TypeSwitch.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "runtime/schemas/Sm90aLimits.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace hadal::nvptx {

using namespace hadal::tile;

bool isSimtKernel(KernelOp kernel) {
  return !kernel
              .walk([](Operation *op) {
                return isa<DotOp, DotScaledOp>(op) ? WalkResult::interrupt()
                                                   : WalkResult::advance();
              })
              .wasInterrupted();
}

FailureOr<LLVM::LLVMFuncOp> lowerSimt(KernelOp kernel, OpBuilder &builder) {
  OwningOpRef<KernelOp> copy(kernel.clone());
  splitStoredConcats(*copy);
  moveLoadsForward(*copy);
  return SimtEmitter(*copy).emit(builder);
}

LogicalResult SimtEmitter::readWords() {
  if (failed(refuseOtherWords(kernel, {"bm", "columns", "threads"})))
    return failure();
  FailureOr<int64_t> word = kernel.getWord("threads");
  if (failed(word))
    return failure();
  threads = *word;
  if (threads < 32 || threads > 1024 || threads % 32 != 0)
    return kernel.emitOpError("has no sm_90a lowering with the word 'threads' "
                              "of ")
           << threads << ": it takes 32 to 1024 in steps of 32";
  return success();
}

FailureOr<LLVM::LLVMFuncOp> SimtEmitter::emit(OpBuilder &outer) {
  if (failed(readWords()))
    return failure();
  MLIRContext *context = kernel.getContext();
  auto i64Type = IntegerType::get(context, 64);
  SmallVector<Type> params(kernel.getNumSlots(), i64Type);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                          params);
  OpBuilder::InsertionGuard guard(outer);
  auto func = LLVM::LLVMFuncOp::create(outer, kernel.getLoc(),
                                       kernel.getSymName(), type);
  func.setCConv(LLVM::CConv::PTX_Kernel);
  func.setPassthroughAttr(outer.getArrayAttr(outer.getArrayAttr(
      {outer.getStringAttr("nvvm.reqntid"),
       outer.getStringAttr(Twine(threads))})));
  Block *entry = func.addEntryBlock(outer);
  builder.emplace(kernel.getLoc(), context);
  SimtBuilder &b = *builder;
  b.setInsertionPointToStart(entry);
  emitPrologue(func);
  b.prepareDependents(); // lets the next kernel start; it publishes nothing
  for (auto [coordinate, value] :
       llvm::zip(kernel.getCoordinates(),
                 emitCoordinates(b, kernel, b.blockId())))
    scalars[coordinate] = value;
  hoistParameters();
  // Ahead of this only what no kernel writes; `sizes`, too, may be written
  // until the kernels ahead have ended.
  b.waitForPrevious();

  SmallVector<Value> coordinates;
  for (BlockArgument coordinate : kernel.getCoordinates())
    coordinates.push_back(scalars[coordinate]);
  Value active = emitInside(b, kernel, coordinates,
                            [&](Value index) { return sizeAt(index); });
  LogicalResult result = success();
  guarded(active, [&] { result = emitBlock(kernel.getBodyBlock()); });
  b.setInsertionPointToEnd(entry);
  LLVM::ReturnOp::create(b, ValueRange());
  if (failed(result) || failedEmission) {
    func.erase();
    return failure();
  }
  if (sharedTop > sm90a::kMaxSharedBytes) {
    func.erase();
    return kernel.emitOpError("has no sm_90a lowering: it needs ")
           << sharedTop << " bytes of shared memory; a CTA of sm_90 has "
           << sm90a::kMaxSharedBytes;
  }
  func->setAttr("hadal.threads", outer.getI64IntegerAttr(threads));
  func->setAttr("hadal.shared_bytes", outer.getI64IntegerAttr(sharedTop));
  return func;
}

void SimtEmitter::emitPrologue(LLVM::LLVMFuncOp func) {
  SimtBuilder &b = *builder;
  // The dynamic shared memory, one symbol per module.
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
  sharedBase = LLVM::AddressOfOp::create(b, shared);
  thread = b.threadId();
  entryEnd = thread.getDefiningOp();

  unsigned slot = 0;
  auto next = [&] { return Value(func.getArgument(slot++)); };
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto type = dyn_cast<ViewType>(arg.getType());
    if (!type) {
      sizes = next();
      continue;
    }
    View view;
    view.type = type;
    view.data = next();
    if (type.isScaled())
      view.scale = next();
    for (int64_t extent : type.getShape())
      view.extents.push_back(extent < 0 ? next() : b.i64(extent));
    views[arg] = view;
  }
}

// Weights do not depend on the previous kernel: they are on their way while it
// ends.
void SimtEmitter::hoistParameters() {
  for (LoadOp load : kernel.getBodyBlock().getOps<LoadOp>()) {
    bool isFixed = llvm::all_of(load.getIndices(), [](Value index) {
      return getConstantIntValue(index).has_value();
    });
    if (!isFixed || !isConstant(load.getView()) || load.getScales())
      continue;
    for (Value index : load.getIndices())
      if (!scalar(index))
        scalars[index] = builder->i64(*getConstantIntValue(index));
    if (succeeded(emitLoad(load)))
      hoisted.insert(load);
    else
      failedEmission = true;
  }
}

LogicalResult SimtEmitter::emitBlock(Block &block) {
  for (Operation &op : block) {
    if (isa<YieldOp, scf::YieldOp>(op) || hoisted.contains(&op))
      continue;
    builder->setLoc(op.getLoc());
    if (failed(emitOp(&op)) || failedEmission)
      return failure();
  }
  return success();
}

LogicalResult SimtEmitter::emitOp(Operation *op) {
  // Elementwise ops and ops of shape are evaluated where they are used.
  if (isa<SplatOp, BroadcastOp, IotaOp, ReshapeOp, SliceOp, TransposeOp,
          ConcatOp, DeinterleaveOp, InterleaveOp>(op))
    return success();
  if (op->getNumResults() == 1 &&
      isa<RankedTensorType>(op->getResult(0).getType()) &&
      (isElementwise(op) || isa<arith::ConstantOp>(op)))
    return success();
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](FoldOp o) { return emitFold(o); })
      .Case([&](scf::IfOp o) { return emitIf(o); })
      .Case([&](RowsOp o) { return emitRows(o); })
      .Case([&](LoadOp o) { return emitLoad(o); })
      .Case([&](StoreOp o) { return emitStore(o); })
      .Case([&](ReduceIntoOp o) { return emitReduceInto(o); })
      .Case([&](StoreSizeOp o) { return emitStoreSize(o); })
      .Case([&](ReduceOp o) {
        return isLazyReduce(o) ? success() : emitReduce(o);
      })
      .Case([&](ScanOp o) { return emitScan(o); })
      .Case([&](TopKOp o) { return emitTopK(o); })
      .Case([&](QuantizeOp o) { return emitQuantize(o); })
      .Case([&](SizeOp o) {
        emitSize(o);
        return success();
      })
      .Case([&](ReadOp o) {
        emitRead(o);
        return success();
      })
      .Case([&](DimOp o) {
        scalars[o.getResult()] = views.lookup(o.getView()).extents[o.getDim()];
        return success();
      })
      .Default([&](Operation *o) { return emitScalarOp(o); });
}

LogicalResult SimtEmitter::emitScalarOp(Operation *op) {
  StringRef dialect = op->getName().getDialectNamespace();
  bool isScalar =
      op->getNumResults() == 1 && op->getNumRegions() == 0 &&
      (dialect == "arith" || dialect == "math") &&
      isa<IntegerType, FloatType, IndexType>(op->getResult(0).getType());
  if (!isScalar)
    return op->emitOpError("has no sm_90a lowering");
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    scalars[constant] = constantElement(constant, TileIndex::of(0));
    return success();
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(scalar(operand));
  scalars[op->getResult(0)] = emitElement(op, operands);
  return failure(failedEmission);
}

LogicalResult
SimtEmitter::scoped(function_ref<LogicalResult()> body) {
  auto savedScalars = scalars;
  auto savedTiles = tiles;
  auto savedViews = views;
  LogicalResult result = body();
  scalars = std::move(savedScalars);
  tiles = std::move(savedTiles);
  views = std::move(savedViews);
  return result;
}

void SimtEmitter::guarded(Value condition, function_ref<void()> body) {
  if (!condition)
    return body();
  auto test = scf::IfOp::create(*builder, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(*builder);
  builder->setInsertionPointToStart(test.thenBlock());
  body();
}

LogicalResult SimtEmitter::emitIf(scf::IfOp op) {
  if (op.getNumResults() != 0)
    return op.emitOpError("has no sm_90a lowering: it has results");
  Value condition = scalar(op.getCondition());
  auto test = scf::IfOp::create(*builder, condition, op.elseBlock() != nullptr);
  OpBuilder::InsertionGuard guard(*builder);
  auto branch = [&](Block *from, Block *to) {
    builder->setInsertionPointToStart(to);
    return scoped([&] { return emitBlock(*from); });
  };
  if (failed(branch(op.thenBlock(), test.thenBlock())))
    return failure();
  return op.elseBlock() ? branch(op.elseBlock(), test.elseBlock()) : success();
}

LogicalResult SimtEmitter::emitFold(FoldOp fold) {
  SimtBuilder &b = *builder;
  SmallVector<Cover> covers;
  SmallVector<Value> inits;
  for (Value init : fold.getInits()) {
    if (!isa<RankedTensorType>(init.getType()))
      return fold.emitOpError("has no sm_90a lowering: a state that is no tile");
    Cover &cover = covers.emplace_back(coverOf(init));
    for (TileIndex e : cover)
      inits.push_back(element(init, e));
  }
  auto loop = scf::ForOp::create(b, scalar(fold.getLo()), scalar(fold.getHi()),
                                 b.i64(fold.getStep()), inits);
  auto bind = [&](ValueRange tileValues, ValueRange registers) {
    unsigned next = 0;
    for (auto [value, cover] : llvm::zip(tileValues, covers)) {
      for (TileIndex e : cover)
        define(value, e, registers[next++]);
      setCover(value, cover);
    }
  };
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ++loopDepth;
    LogicalResult result = scoped([&]() -> LogicalResult {
      scalars[fold.getInductionVar()] = loop.getInductionVar();
      bind(fold.getState(), loop.getRegionIterArgs());
      Block &body = fold.getBody().front();
      if (failed(emitBlock(body)))
        return failure();
      SmallVector<Value> yields;
      for (auto [value, cover] :
           llvm::zip(body.getTerminator()->getOperands(), covers))
        for (TileIndex e : cover)
          yields.push_back(element(value, e));
      if (!yields.empty()) // a loop without state has its terminator
        scf::YieldOp::create(b, yields);
      return success();
    });
    --loopDepth;
    if (failed(result))
      return failure();
  }
  bind(fold.getResults(), loop.getResults());
  return success();
}

int64_t SimtEmitter::allocateShared(int64_t bytes) {
  int64_t offset = sharedTop;
  sharedTop += llvm::alignTo(bytes, 16);
  return offset;
}

// No bytes are given away twice (allocateShared): only a loop comes back to
// them.
void SimtEmitter::barrierBeforeWrite() {
  if (loopDepth > 0)
    barrier();
}

//===----------------------------------------------------------------------===//
// Facts about uniform scalars
//===----------------------------------------------------------------------===//

std::optional<int64_t> SimtEmitter::upperBound(Value index) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return constant;
  for (auto [i, coordinate] : llvm::enumerate(kernel.getCoordinates()))
    if (coordinate == index) {
      DomainDimAttr dim = kernel.getDim(i);
      if (dim.getExtent() < 0)
        return std::nullopt;
      return (llvm::divideCeil(dim.getExtent(), dim.getStep()) - 1) *
             dim.getStep();
    }
  if (auto add = index.getDefiningOp<arith::AddIOp>()) {
    std::optional<int64_t> a = upperBound(add.getLhs()),
                           c = upperBound(add.getRhs());
    if (a && c)
      return *a + *c;
  }
  return std::nullopt;
}

int64_t SimtEmitter::knownMultiple(Value index) {
  constexpr int64_t any = int64_t(1) << 30;
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return *constant == 0 ? any : std::abs(*constant);
  for (auto [i, coordinate] : llvm::enumerate(kernel.getCoordinates()))
    if (coordinate == index)
      return kernel.getDim(i).getStep();
  if (auto arg = dyn_cast<BlockArgument>(index))
    if (auto fold = dyn_cast<FoldOp>(arg.getOwner()->getParentOp()))
      if (arg == fold.getInductionVar())
        return std::gcd(knownMultiple(fold.getLo()),
                        static_cast<int64_t>(fold.getStep()));
  if (auto add = index.getDefiningOp<arith::AddIOp>())
    return std::gcd(knownMultiple(add.getLhs()), knownMultiple(add.getRhs()));
  if (auto mul = index.getDefiningOp<arith::MulIOp>())
    return std::max(knownMultiple(mul.getLhs()), knownMultiple(mul.getRhs()));
  return 1;
}

} // namespace hadal::nvptx
