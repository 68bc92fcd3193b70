// A fused dsv3 op becomes a launch of its kernel (KernelModel.h).
#include "dialects/Diagnostics.h"
#include "passes/Dsv3ToExec/KernelModel.h"
#include "passes/Identity/Names.h"

using namespace mlir;
using namespace hadal::kernels;

#include "passes/Dsv3ToExec/KernelOpInterface.cpp.inc"

namespace hadal::lower {

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

void registerKernelModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, dsv3::Dsv3Dialect *) {
#define HADAL_ATTACH_MODEL(K) attach##K##Model(*context);
    HADAL_FOR_EACH_KERNEL(HADAL_ATTACH_MODEL)
#undef HADAL_ATTACH_MODEL
  });
}

bool isSlice(Value value) {
  dsv3::LayoutAttr layout = dsv3::getLayout(value.getType());
  return layout && layout.getExtents() == ArrayRef(dsv3::Extent::Slice);
}

ScaleFormat formatOf(Value value) {
  dsv3::LayoutAttr layout = dsv3::getLayout(value.getType());
  return layout.getScale().getFormat() == dsv3::ScaleFormat::UE8M0
             ? ScaleFormat::ue8m0
             : ScaleFormat::f32;
}

Weight weightOf(Value value) {
  Type element = typeOf(value).getElementType();
  if (isa<Float8E4M3FNType>(element))
    return Weight::fp8;
  if (element.isInteger(4))
    return Weight::int4;
  return element.isF32() ? Weight::f32 : Weight::bf16;
}

/// The order that a deterministic program gives the sums of a bucket of |kind|:
/// one for all buckets of a family (docs/numerics.md). Rows of logits are few,
/// whoever asks for them.
static Sums sumsOf(dsv3::BucketKind kind) {
  return dsv3::isPrompt(kind) ? Sums::panel : Sums::rows;
}

//===----------------------------------------------------------------------===//
// Operands and launches
//===----------------------------------------------------------------------===//

int64_t FunctionLowering::rows(Value value) { return rows(typeOf(value)); }

int64_t FunctionLowering::rows(RankedTensorType type) {
  dsv3::LayoutAttr layout = dsv3::getLayout(type);
  if (!layout || layout.getExtents().empty())
    return type.getDimSize(0);
  switch (layout.getExtents().front()) {
  case dsv3::Extent::Tokens:
    return functionBucket.getTokens();
  case dsv3::Extent::Routed:
    return functionBucket.getCapacity() > 0
               ? context.ep() * functionBucket.getPairs()
               : sliceTokens() * context.topk;
  case dsv3::Extent::Logits:
    return functionBucket.getLogits();
  case dsv3::Extent::Slice:
    return sliceTokens();
  case dsv3::Extent::Received:
    return context.ep() * functionBucket.getCapacity();
  case dsv3::Extent::Returned:
    return context.ep() * functionBucket.getPairs();
  case dsv3::Extent::Gathered:
    return context.tp() * functionBucket.getLogits();
  }
  llvm_unreachable("all extents are named");
}

Operand FunctionLowering::rowsOf(Value value, int64_t factor) {
  return {storages.lookup(value), {rows(value) * factor}};
}

Operand FunctionLowering::input(exec::Input name, ArrayRef<int64_t> extents) {
  Value &ref = inputs[static_cast<unsigned>(name)];
  if (!ref) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(b.getInsertionBlock());
    ref = exec::InputOp::create(
        b, getSymbolLoc(b.getContext(), exec::stringifyInput(name)), name);
  }
  return {{ref, {}}, SmallVector<int64_t, 2>(extents)};
}

Operand FunctionLowering::pool(Value cache) {
  return {storages.lookup(cache),
          {context.maxBatchSize * context.pagesPerRow()}};
}

void FunctionLowering::addBatch(SmallVectorImpl<Operand> &operands) {
  int64_t r = functionBucket.getRows();
  operands.push_back(input(exec::Input::PageTable, {r, context.pagesPerRow()}));
  operands.push_back(input(exec::Input::QStart, {r + 1}));
  operands.push_back(input(exec::Input::KvLen, {r}));
  operands.push_back(
      input(exec::Input::Positions, {functionBucket.getTokens()}));
}

Value FunctionLowering::allocate(Operation *op, StringRef suffix, int64_t bytes,
                                 bool exchange) {
  Location loc = suffix.empty() ? op->getLoc() : splitLoc(op, suffix);
  std::string label = getLocalName(op).str();
  if (!suffix.empty())
    label += "." + suffix.str();
  return exec::BufferOp::create(b, loc, label, bytes, IntegerAttr(), exchange);
}

int64_t FunctionLowering::dataBytes(RankedTensorType type, int64_t rows) {
  // A vector is dense; of a matrix every row has its pitch.
  if (type.getRank() == 1)
    return rows * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t extent : type.getShape().drop_front().drop_back())
    rows *= extent;
  return rows * context.rowBytes(type.getElementType(), type.getShape().back());
}

Operand FunctionLowering::define(Value result, StringRef suffix) {
  Storage &storage = storages[result];
  if (!storage.data) {
    RankedTensorType type = typeOf(result);
    Operation *op = result.getDefiningOp();
    // What a collective sends lies where the other ranks' does.
    bool exchange = llvm::any_of(result.getUsers(), [&](Operation *user) {
      auto start = dyn_cast<dsv3::StartOp>(user);
      return start && llvm::is_contained(start.getParts(), result);
    });
    storage.data =
        allocate(op, suffix, dataBytes(type, rows(result)), exchange);
    if (dsv3::isFP8(type))
      storage.scale = allocate(
          op, suffix.empty() ? "scale" : (suffix + ".scale").str(),
          rows(result) * 4 * llvm::divideCeil(columns(result), dsv3::kBlock),
          exchange);
  }
  return rowsOf(result);
}

std::optional<schedule::Schedule>
FunctionLowering::scheduleFor(Operation *op, StringRef symbol,
                              const AnySpec &spec) {
  schedule::Words given;
  for (GivenSchedule &schedule : context.given) {
    if (!schedule.regex.match(symbol))
      continue;
    schedule.matched = true;
    // Of two that name a word the later counts.
    for (const auto &[word, value] : schedule.words)
      given.insert_or_assign(word, value);
  }
  std::string error;
  auto *gemm = std::get_if<GemmSpec>(&spec);
  if (context.scheduleAsOneRank && context.ep() > 1 && gemm &&
      gemm->experts > 0) {
    GemmSpec alone = *gemm;
    alone.rows = functionBucket.getTokens();
    alone.experts = context.experts;
    alone.topk = context.topk;
    auto resolved = schedule::resolveSchedule(alone, context.target,
                                              context.chip, given, error);
    if (resolved)
      given = resolved->words;
  }
  auto resolved = schedule::resolveSchedule(spec, context.target, context.chip,
                                            given, error);
  if (!resolved)
    emitCodedError(op, 3008) << "kernel '" << symbol << "': " << error;
  return resolved;
}

tile::KernelOp FunctionLowering::kernelFor(Operation *op, AnySpec spec) {
  tile::KernelOp &kernel = context.kernelOf[toAttr(op->getContext(), spec)];
  if (kernel)
    return kernel;
  std::string symbol = uniqueSymbol(symbolFor(spec), [&](StringRef taken) {
    return context.kernelSymbols->lookup(taken) != nullptr;
  });
  std::optional<schedule::Schedule> schedule = scheduleFor(op, symbol, spec);
  if (!schedule)
    return {};
  // Many operations share it: it has the name of none.
  kernel = buildKernel(context.kernels, context.kernels.getUnknownLoc(), symbol,
                       spec, *schedule);
  if (kernel)
    context.kernelSymbols->insert(kernel);
  else
    op->emitError("no kernel can be built for this operation");
  return kernel;
}

AnySpec FunctionLowering::withSums(AnySpec spec) {
  if (context.deterministic)
    std::visit(
        [&](auto &s) {
          if constexpr (requires { s.sums; })
            s.sums = sumsOf(functionBucket.getKind());
        },
        spec);
  return spec;
}

LogicalResult FunctionLowering::launch(Operation *op,
                                       const KernelLaunch &what) {
  tile::KernelOp kernel = kernelFor(op, withSums(what.spec));
  if (!kernel)
    return failure();
  StringRef name = kernel.getSymName();
  ArrayRef<Operand> operands = what.operands;
  SmallVector<Value> refs;
  SmallVector<int64_t> slots;
  auto addRef = [&](Value ref) {
    refs.push_back(ref);
    slots.push_back(exec::LaunchOp::kRef);
  };
  size_t next = 0;
  for (BlockArgument arg : kernel.getKernelArguments()) {
    auto view = dyn_cast<tile::ViewType>(arg.getType());
    if (!view) {
      addRef(input(exec::Input::Sizes, {}).storage.data);
      continue;
    }
    if (next == operands.size())
      return op->emitError("kernel '")
             << name << "' takes more than " << next << " views";
    const Operand &operand = operands[next++];
    if (!operand.storage.data ||
        view.isScaled() != static_cast<bool>(operand.storage.scale))
      return op->emitError("argument ")
             << arg.getArgNumber() << " of kernel '" << name << "' of type "
             << view
             << (operand.storage.data ? " and its operand disagree "
                                        "about scales"
                                      : " has no memory");
    addRef(operand.storage.data);
    if (view.isScaled())
      addRef(operand.storage.scale);
    if (view.getNumDynamic() != static_cast<int64_t>(operand.extents.size()))
      return op->emitError("argument ")
             << arg.getArgNumber() << " of kernel '" << name << "' of type "
             << view << " is given " << operand.extents.size() << " extents";
    llvm::append_range(slots, operand.extents);
  }
  if (next != operands.size())
    return op->emitError("kernel '")
           << name << "' takes " << next << " views, given "
           << operands.size();
  auto launch = exec::LaunchOp::create(
      b, op->getLoc(), name, kernel.getNumItems(what.capacity), refs, slots,
      /*stream=*/0, /*op=*/StringAttr(), /*members=*/ArrayAttr());
  launch.setNames(getKey(op), getMembers(op->getLoc()).getArrayRef());
  ++context.numLaunches;
  return success();
}

LogicalResult FunctionLowering::lowerKernel(Operation *op) {
  auto kernel = dyn_cast<KernelOpInterface>(op);
  if (!kernel)
    return op->emitError("'")
           << op->getName()
           << "' is not one kernel; run the fusion passes first";
  FailureOr<KernelLaunch> what = kernel.describeKernel(*this);
  if (failed(what))
    return failure();
  return launch(op, *what);
}

} // namespace hadal::lower
