<<<<<<< HEAD
// One dsv3 op, one kernel: specs and argument lists (kernels/Kernels.h).
#include "passes/Diagnostics.h"
#include "passes/Dsv3ToExec/Lowering.h"
=======
// A fused dsv3 op becomes a launch of its kernel (KernelModel.h).
#include "passes/Dsv3ToExec/KernelModel.h"
>>>>>>> schedcpu

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
  return element.isF32() ? Weight::f32 : Weight::bf16;
}

//===----------------------------------------------------------------------===//
// Operands and launches
//===----------------------------------------------------------------------===//

int64_t FunctionLowering::rows(Value value) {
  dsv3::LayoutAttr layout = dsv3::getLayout(value.getType());
  if (!layout || layout.getExtents().empty())
    return typeOf(value).getDimSize(0);
  switch (layout.getExtents().front()) {
  case dsv3::Extent::Tokens:
    return functionBucket.getTokens();
  case dsv3::Extent::Routed:
    return functionBucket.getTokens() * context.topk;
  case dsv3::Extent::Logits:
    return functionBucket.getLogits();
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
    ref = exec::InputOp::create(b, source.getLoc(), name);
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

Value FunctionLowering::allocate(Location loc, StringRef label, int64_t bytes) {
  return exec::BufferOp::create(b, loc, label, bytes, IntegerAttr());
}

Operand FunctionLowering::define(Value result, StringRef suffix) {
  Storage &storage = storages[result];
  if (!storage.data) {
    RankedTensorType type = typeOf(result);
    // A vector is dense; of a matrix every row has its pitch.
    int64_t bytes = rows(result);
    if (type.getRank() == 1) {
      bytes *= llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    } else {
      for (int64_t extent : type.getShape().drop_front().drop_back())
        bytes *= extent;
      bytes *= context.rowBytes(type.getElementType(), columns(result));
    }
    Operation *op = result.getDefiningOp();
    std::string label = op->getName().stripDialect().str();
    if (!suffix.empty())
      label += "." + suffix.str();
    storage.data = allocate(op->getLoc(), label, bytes);
    if (dsv3::isFP8(type))
      storage.scale = allocate(
          op->getLoc(), label + ".scale",
          rows(result) * 4 * llvm::divideCeil(columns(result), dsv3::kBlock));
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
  auto resolved = schedule::resolveSchedule(spec, context.target, context.chip,
                                            given, error);
  if (!resolved)
    op->emitError("H3008: kernel '") << symbol << "': " << error;
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
  kernel =
      buildKernel(context.kernels, op->getLoc(), symbol, spec, *schedule);
  if (kernel)
    context.kernelSymbols->insert(kernel);
  else
    op->emitError("no kernel can be built for this operation");
  return kernel;
}

LogicalResult FunctionLowering::launch(Operation *op,
                                       const KernelLaunch &what) {
  tile::KernelOp kernel = kernelFor(op, what.spec);
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
           << name << "' takes " << next << " views, given " << operands.size();
  exec::LaunchOp::create(b, op->getLoc(), name,
                         kernel.getNumItems(what.capacity), refs, slots);
  ++context.numLaunches;
  return success();
}

<<<<<<< HEAD
//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

LogicalResult FunctionLowering::lower(dsv3::EmbedOp op) {
  EmbedSpec spec;
  spec.act = context.act;
  spec.vocab = typeOf(op.getTable()).getDimSize(0);
  spec.hidden = columns(op.getTable());
  spec.table = weightOf(op.getTable());
  return launch(op, spec,
                {rowsOf(op.getTokens()), whole(op.getTable()),
                 define(op.getResult())},
                rows(op.getResult()));
}

LogicalResult FunctionLowering::lower(dsv3::AddOp op) {
  AddSpec spec;
  spec.act = context.act;
  spec.width = columns(op.getResult());
  return launch(op, spec,
                {rowsOf(op.getLhs()), rowsOf(op.getRhs()),
                 define(op.getResult())},
                rows(op.getResult()));
}

LogicalResult FunctionLowering::lower(dsv3::SiluMulOp op) {
  SiluMulSpec spec;
  spec.act = context.act;
  spec.width = columns(op.getResult());
  return launch(op, spec,
                {rowsOf(op.getGate()), rowsOf(op.getUp()),
                 define(op.getResult())},
                rows(op.getResult()));
}

LogicalResult FunctionLowering::lower(dsv3::QuantizeTilesOp op) {
  QuantizeSpec spec;
  spec.act = context.act;
  spec.scaleFormat = formatOf(op.getResult());
  spec.width = columns(op.getInput());
  return launch(op, spec, {rowsOf(op.getInput()), define(op.getResult())},
                rows(op.getInput()));
}

LogicalResult FunctionLowering::lower(dsv3::NormQuantOp op) {
  NormQuantSpec spec;
  spec.act = context.act;
  spec.width = columns(op.getInput());
  spec.eps = op.getEps().convertToDouble();
  spec.delta = static_cast<bool>(op.getAddend());
  spec.emitAct = static_cast<bool>(op.getNorm());
  spec.quantize = static_cast<bool>(op.getQuantized());
  spec.gather = static_cast<bool>(op.getIndices());
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getQuantized());
  SmallVector<Operand> operands;
  int64_t capacity = rows(op.getInput());
  if (spec.gather) {
    // The head reads rows of a forward entry's bucket, whichever it was.
    operands.push_back({storages.lookup(op.getInput()), {context.hiddenRows}});
    operands.push_back(rowsOf(op.getIndices()));
    capacity = bucket.getLogits();
  } else {
    operands.push_back(rowsOf(op.getInput()));
  }
  if (spec.delta)
    operands.push_back(rowsOf(op.getAddend()));
  operands.push_back(whole(op.getWeight()));
  if (op.getSum())
    operands.push_back(define(op.getSum(), "sum"));
  if (op.getNorm())
    operands.push_back(define(op.getNorm()));
  if (op.getQuantized())
    operands.push_back(define(op.getQuantized(), "codes"));
  return launch(op, spec, operands, capacity);
}

//===----------------------------------------------------------------------===//
// GEMMs
//===----------------------------------------------------------------------===//

/// Fills what linear and gated_linear share.
static void describeGemm(GemmSpec &spec, Value input, Value weight,
                         Value result, Value begin, Value gather,
                         dsv3::BucketAttr bucket) {
  RankedTensorType type = typeOf(weight);
  spec.k = columns(weight);
  spec.n = type.getShape()[type.getRank() - 2];
  spec.weight = weightOf(weight);
  spec.quantizedInput = dsv3::isFP8(input.getType());
  dsv3::LayoutAttr layout = dsv3::getLayout(weight.getType());
  if (layout && layout.getStorage() == dsv3::Storage::Segments)
    spec.segmentRows = dsv3::kBlock;
  if (begin)
    spec.experts = type.getDimSize(0);
  spec.gather = static_cast<bool>(gather);
  spec.logitRows = bucket.getKind() == dsv3::BucketKind::Head;
  // An expert gets a token at most once.
  spec.rows = spec.logitRows ? bucket.getLogits() : bucket.getTokens();
}

LogicalResult FunctionLowering::lower(dsv3::LinearOp op) {
  GemmSpec spec;
  describeGemm(spec, op.getInput(), op.getWeight(), op.getResult(),
               op.getBegin(), op.getSource(), bucket);
  context.quantizesActivations |= spec.quantizedInput;
  spec.act = context.act;
  // The router and the head give f32 whatever the activations are.
  spec.f32Output = spec.act == Act::bf16 &&
                   typeOf(op.getResult()).getElementType().isF32();
  SmallVector<Operand> operands{rowsOf(op.getInput())};
  if (spec.gather)
    operands.push_back(rowsOf(op.getSource()));
  operands.push_back(whole(op.getWeight()));
  if (op.getRopeTable()) {
    spec.epilogue = Epilogue::rope;
    spec.headDim = spec.n / *op.getHeads();
    spec.ropeDim = *op.getRope();
    spec.positions = typeOf(op.getRopeTable()).getDimSize(0);
    operands.push_back(whole(op.getRopeTable()));
    operands.push_back(input(exec::Input::Positions, {bucket.getTokens()}));
  }
  if (op.getResidual()) {
    spec.epilogue = Epilogue::residual;
    operands.push_back(rowsOf(op.getResidual()));
  }
  operands.push_back(define(op.getResult()));
  return launch(op, spec, operands, spec.rows);
}

LogicalResult FunctionLowering::lower(dsv3::GatedLinearOp op) {
  GemmSpec spec;
  describeGemm(spec, op.getInput(), op.getGate(), op.getResult(),
               op.getBegin(), op.getSource(), bucket);
  context.quantizesActivations |= spec.quantizedInput;
  bool quantizes = dsv3::isFP8(op.getResult().getType());
  spec.epilogue = quantizes ? Epilogue::swigluQuantize : Epilogue::swiglu;
  spec.act = context.act;
  if (quantizes)
    spec.scaleFormat = formatOf(op.getResult());
  SmallVector<Operand> operands{rowsOf(op.getInput())};
  if (spec.gather)
    operands.push_back(rowsOf(op.getSource()));
  operands.push_back(whole(op.getGate()));
  operands.push_back(whole(op.getUp()));
  operands.push_back(define(op.getResult()));
  return launch(op, spec, operands, spec.rows);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

LogicalResult FunctionLowering::lower(dsv3::LatentNormRopeCacheOp op) {
  auto cache = cast<dsv3::CacheType>(op.getCache().getType());
  LatentNormRopeCacheSpec spec;
  spec.act = context.act;
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.qLora = op.getQWeight() ? columns(op.getQWeight()) : 0;
  spec.positions = typeOf(op.getTable()).getDimSize(0);
  spec.eps = op.getEps().convertToDouble();
  spec.quantize = static_cast<bool>(op.getQuantized());
  if (op.getQuantized() && op.getNorm())
    return op.emitError("the kernel gives the query norm either as it is or "
                        "quantised, not both");
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getQuantized());
  int64_t tokens = bucket.getTokens();
  Operand cacheRows = pool(op.getCache());
  cacheRows.extents[0] *= context.pageSize;
  SmallVector<Operand> operands{rowsOf(op.getInput())};
  if (op.getQWeight())
    operands.push_back(whole(op.getQWeight()));
  operands.push_back(whole(op.getKvWeight()));
  operands.push_back(whole(op.getTable()));
  operands.push_back(input(exec::Input::Positions, {tokens}));
  operands.push_back(input(exec::Input::Slot, {tokens}));
  operands.push_back(cacheRows);
  if (op.getNorm())
    operands.push_back(define(op.getNorm(), "query"));
  if (op.getQuantized())
    operands.push_back(define(op.getQuantized(), "codes"));
  return launch(op, spec, operands, tokens);
}

LogicalResult FunctionLowering::lower(dsv3::AbsorbQOp op) {
  AbsorbQSpec spec;
  spec.act = context.act;
  spec.heads = op.getHeads();
  spec.nope = op.getNope();
  spec.value = op.getValue();
  spec.rope = columns(op.getQuery()) / spec.heads - spec.nope;
  spec.latent = columns(op.getWkvB());
  spec.rows = bucket.getTokens();
  spec.weight = weightOf(op.getWkvB());
  return launch(op, spec,
                {rowsOf(op.getQuery()), whole(op.getWkvB()),
                 define(op.getResult())},
                spec.rows);
}

LogicalResult FunctionLowering::lower(dsv3::AbsorbVOp op) {
  AbsorbVSpec spec;
  spec.act = context.act;
  spec.heads = op.getHeads();
  spec.nope = op.getNope();
  spec.value = op.getValue();
  spec.latent = columns(op.getWkvB());
  spec.rows = bucket.getTokens();
  spec.weight = weightOf(op.getWkvB());
  spec.quantize = dsv3::isFP8(op.getResult().getType());
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getResult());
  return launch(op, spec,
                {rowsOf(op.getInput()), whole(op.getWkvB()),
                 define(op.getResult())},
                spec.rows);
}

LogicalResult FunctionLowering::lower(dsv3::MlaDecodeOp op) {
  auto cache = cast<dsv3::CacheType>(op.getCache().getType());
  MlaDecodeSpec spec;
  spec.act = context.act;
  spec.heads = op.getHeads();
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.pageSize = context.pageSize;
  spec.maxQueries = bucket.getQueries();
  spec.softmaxScale = op.getScale().convertToDouble();
  if (context.multiprocessors > 0)
    splitKeys(spec, bucket.getRows(), context.maxSeqLen,
              context.multiprocessors);
  // A row of the kernel is one head of one token, so that a row of a token must
  // be as long as those of its heads.
  for (Value value : {op.getQuery(), op.getResult()}) {
    Type element = typeOf(value).getElementType();
    int64_t width = columns(value) / spec.heads;
    if (context.rowBytes(element, width) * spec.heads !=
        context.rowBytes(element, columns(value)))
      return emitCodedError(op, 3004)
             << "a head's " << width << " values of " << element
             << " do not fill a multiple of 16 bytes, as the target needs";
  }
  SmallVector<Operand> operands{rowsOf(op.getQuery(), spec.heads),
                                pool(op.getCache())};
  addBatch(operands);
  define(op.getResult());
  operands.push_back(rowsOf(op.getResult(), spec.heads));
  return launch(op, spec, operands, bucket.getRows());
}

LogicalResult FunctionLowering::lower(dsv3::MlaPrefillOp op) {
  auto cache = cast<dsv3::CacheType>(op.getCache().getType());
  MlaPrefillSpec spec;
  spec.act = context.act;
  spec.heads = op.getHeads();
  spec.nope = op.getNope();
  spec.value = op.getValue();
  spec.latent = cache.getLatent();
  spec.rope = cache.getRope();
  spec.pageSize = context.pageSize;
  spec.maxQueries = bucket.getQueries();
  spec.softmaxScale = op.getScale().convertToDouble();
  spec.weight = weightOf(op.getWkvB());
  spec.quantizeLatent = op.getQuantizeLatent().has_value();
  spec.quantize = dsv3::isFP8(op.getResult().getType());
  if (spec.quantize)
    spec.scaleFormat = formatOf(op.getResult());
  else if (op.getQuantizeLatent() == dsv3::ScaleFormat::UE8M0)
    spec.scaleFormat = ScaleFormat::ue8m0;
  SmallVector<Operand> operands{rowsOf(op.getQuery()), pool(op.getCache())};
  addBatch(operands);
  operands.push_back(whole(op.getWkvB()));
  operands.push_back(define(op.getResult()));
  return launch(op, spec, operands, bucket.getRows());
}

//===----------------------------------------------------------------------===//
// Mixture of experts
//===----------------------------------------------------------------------===//

LogicalResult FunctionLowering::lower(dsv3::GateTopkOp op) {
  GateTopkSpec spec;
  spec.act = context.act;
  spec.experts = columns(op.getLogits());
  spec.topk = op.getTopK();
  spec.groups = op.getGroups();
  spec.topkGroups = op.getTopGroups();
  spec.sigmoid = op.getScore() == dsv3::ScoreFunction::Sigmoid;
  spec.bias = static_cast<bool>(op.getBias());
  spec.groupTop2 = op.getGroupScore() == dsv3::GroupScore::Top2Sum;
  spec.normalize = op.getRenormalize();
  spec.routeScale = op.getRouteScale().convertToDouble();
  SmallVector<Operand> operands{rowsOf(op.getLogits())};
  if (op.getBias())
    operands.push_back(whole(op.getBias()));
  operands.push_back(define(op.getIds(), "ids"));
  operands.push_back(define(op.getWeights(), "weights"));
  return launch(op, spec, operands, bucket.getTokens());
}

LogicalResult FunctionLowering::lower(dsv3::MoePermuteOp op) {
  MoePermuteSpec spec;
  spec.act = context.act;
  spec.experts = cast<dsv3::CountsType>(op.getCounts().getType()).getSize();
  spec.topk = columns(op.getIds());
  spec.tokens = bucket.getTokens();
  // `begin` is the expert_begin part of the sizes. The kernel sees `place` as
  // one column.
  define(op.getPlace(), "place");
  return launch(op, spec,
                {rowsOf(op.getIds()), define(op.getSource(), "source"),
                 rowsOf(op.getPlace(), spec.topk), whole(op.getCounts())},
                spec.experts);
}

LogicalResult FunctionLowering::lower(dsv3::MoeCombineOp op) {
  MoeCombineSpec spec;
  spec.act = context.act;
  spec.hidden = columns(op.getResult());
  spec.topk = columns(op.getPlace());
  spec.shared = static_cast<bool>(op.getShared());
  if (!op.getResidual())
    return op.emitError("the kernel adds a residual, which is missing; run "
                        "the fusion passes");
  SmallVector<Operand> operands{rowsOf(op.getRows()), rowsOf(op.getPlace()),
                                rowsOf(op.getWeights())};
  if (op.getShared())
    operands.push_back(rowsOf(op.getShared()));
  operands.push_back(rowsOf(op.getResidual()));
  operands.push_back(define(op.getResult()));
  return launch(op, spec, operands, bucket.getTokens());
}

=======
>>>>>>> schedcpu
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
