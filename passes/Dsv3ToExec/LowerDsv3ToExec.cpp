// The module: manifest entries, functions, entries.
#include "passes/Dsv3ToExec/Passes.h"

#include "dialects/Diagnostics.h"
#include "passes/Dsv3ToExec/KernelModel.h"
#include "passes/Dsv3ToExec/ReadTarget.h"
#include "passes/Identity/Names.h"
#include "cost/Chip.h"

#include <map>

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_LOWERDSV3TOEXEC
#include "passes/Dsv3ToExec/Passes.h.inc"

// A bucket's kind is its entry's, number for number.
static_assert(static_cast<int>(dsv3::BucketKind::Decode) ==
                  static_cast<int>(exec::EntryKind::Decode) &&
              static_cast<int>(dsv3::BucketKind::DraftPrefill) ==
                  static_cast<int>(exec::EntryKind::DraftPrefill));

namespace {

using lower::FunctionLowering;
using lower::GivenSchedule;
using lower::ProgramContext;
using lower::Storage;

/// Rows of a segments parameter that one entry of its table spans: 128 of the
/// codes, which is one of their scales, or of int4 codes 128 as well.
int64_t segmentRows(dsv3::ParameterOp op, bool isScale) {
  return isScale && op.getTensorType().getElementType().isF32() ? 1
                                                                : dsv3::kBlock;
}

/// int4 codes are to the runtime what they are in the file: words of eight.
constexpr int64_t kCodesPerWord = 8;

Type storedElement(Type element) {
  return element.isInteger(4) ? IntegerType::get(element.getContext(), 32)
                              : element;
}

/// |scale| holds the scales by which |op| is dequantised when it is loaded; null
/// if it is not.
exec::ParameterOp lowerParameter(ProgramContext &context, dsv3::ParameterOp op,
                                 bool isScale, dsv3::ParameterOp scale) {
  OpBuilder &b = context.program;
  RankedTensorType type = op.getTensorType();
  ArrayRef<int64_t> shape = type.getShape();
  dsv3::LayoutAttr layout = dsv3::getLayout(type);
  dsv3::Storage storage =
      layout ? layout.getStorage() : dsv3::Storage::Whole;
  exec::ParameterKind kind = exec::ParameterKind::Tensor;
  IntegerAttr count;
  SmallVector<int64_t> rows(op.getPartRows());
  if (storage == dsv3::Storage::Stack) {
    kind = exec::ParameterKind::Stack;
    count = b.getI64IntegerAttr(shape.front());
    shape = shape.drop_front();
  } else if (storage == dsv3::Storage::Segments) {
    kind = exec::ParameterKind::Segments;
    count = b.getI64IntegerAttr(segmentRows(op, isScale));
  }
  if (rows.empty())
    rows.push_back(shape.front());
  exec::ValueCheckAttr check;
  if (op.getCheck() != dsv3::ValueCheck::None)
    check = exec::ValueCheckAttr::get(b.getContext(),
                                      op.getCheck() == dsv3::ValueCheck::Finite
                                          ? exec::ValueCheck::Finite
                                          : exec::ValueCheck::NonNegative);
  IntegerAttr pitch;
  if (type.getRank() > 1)
    pitch = context.pitch(type.getElementType(), type.getShape().back());
  SmallVector<int64_t> inner(shape.drop_front());
  SmallVector<Attribute> accepts;
  for (Type each : op.getAccepts().getAsValueRange<TypeAttr>())
    accepts.push_back(TypeAttr::get(storedElement(each)));
  if (dsv3::isInt4(type))
    inner.back() /= kCodesPerWord;
  ArrayAttr scaleParts, scaleAccepts;
  DenseI64ArrayAttr scaleBlock;
  if (scale) {
    scaleParts = scale.getParts();
    scaleAccepts = scale.getAccepts();
    scaleBlock = b.getDenseI64ArrayAttr({dsv3::kBlock, dsv3::kBlock});
  }
  exec::AxisAttr axis;
  IntegerAttr sliceDim, sliceUnit, layer;
  if (std::optional<dsv3::SplitAttr> split = op.getSplit()) {
    axis = exec::AxisAttr::get(b.getContext(), lower::axisOf(split->getAxis()));
    sliceDim = b.getI64IntegerAttr(split->getDim() == dsv3::SplitDim::Cols);
    int64_t unit = split->getUnit();
    if (dsv3::isInt4(type) && split->getDim() == dsv3::SplitDim::Cols)
      unit = std::max<int64_t>(unit / kCodesPerWord, 1);
    sliceUnit = b.getI64IntegerAttr(unit);
    if (op.getLayer())
      layer = b.getI64IntegerAttr(*op.getLayer());
  }
  Location loc = op.getLoc();
  if (scale)
    loc = fuseLoc(op.getSymName(), "lower-dsv3-to-exec", {op, scale});
  return exec::ParameterOp::create(
      b, loc, op.getSymName(), kind, count,
      op.getPlace() == dsv3::Placement::Map ? exec::Placement::Map
                                            : exec::Placement::Copy,
      storedElement(type.getElementType()), rows, inner, op.getParts(),
      b.getArrayAttr(accepts), check, scaleParts, scaleAccepts, scaleBlock, pitch, axis,
      sliceDim, sliceUnit, layer, op.getCopiesAttr());
}

class LowerDsv3ToExecPass
    : public impl::LowerDsv3ToExecBase<LowerDsv3ToExecPass> {
public:
  using Base::Base;

private:
  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    lower::registerKernelModels(registry);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    ProgramContext context(module);
    if (failed(lower::readTarget(module, target, chip, context.target,
                                 context.chip)))
      return signalPassFailure();
    if (failed(readModel(context)) || failed(readSchedules(context)))
      return signalPassFailure();

    module.walk([&](dsv3::JoinColumnsOp) { splitsVocabulary = true; });
    SmallVector<Operation *> old;
    for (Operation &op : *module.getBody())
      old.push_back(&op);
    // New symbols have the names of old ones, so they are built in modules of
    // their own and moved when the old are gone.
    OwningOpRef<ModuleOp> manifest = ModuleOp::create(module.getLoc());
    OwningOpRef<ModuleOp> kernels = ModuleOp::create(module.getLoc());
    OwningOpRef<ModuleOp> program = ModuleOp::create(module.getLoc());
    context.program = OpBuilder::atBlockEnd(manifest->getBody());
    lowerSymbols(context);
    context.kernels = OpBuilder::atBlockEnd(kernels->getBody());
    SymbolTable kernelSymbols(*kernels);
    context.kernelSymbols = &kernelSymbols;
    context.program = OpBuilder::atBlockEnd(program->getBody());
    for (auto func : module.getOps<func::FuncOp>())
      if (func.isPrivate() && failed(lowerLayer(context, func)))
        return signalPassFailure();
    for (auto func : module.getOps<func::FuncOp>())
      if (!func.isPrivate() && failed(lowerEntry(context, func)))
        return signalPassFailure();

    for (const GivenSchedule &given : context.given)
      if (!given.matched) {
        reportUnmatched(context, given);
        return signalPassFailure();
      }

    for (Operation *op : llvm::reverse(old))
      op->erase();
    for (ModuleOp part : {*manifest, *kernels, *program})
      module.getBody()->getOperations().splice(
          module.getBody()->end(), part.getBody()->getOperations());
    setAttributes(context);
    numKernels += context.kernelOf.size();
    numLaunches += context.numLaunches;
  }

  LogicalResult readSchedules(ProgramContext &context) {
    for (const std::string &text : schedules) {
      auto refuse = [&](const llvm::Twine &why) -> LogicalResult {
        return emitCodedError(context.module, 3008)
               << "--schedule=" << text << ": " << why << "; it takes REGEX:WORD=VALUE,...";
      };
      auto [pattern, words] = StringRef(text).rsplit(':');
      GivenSchedule given{text, llvm::Regex(pattern), {}, false};
      std::string error;
      if (pattern.empty() || words.empty())
        return refuse("no words for a pattern of symbols");
      if (!given.regex.isValid(error))
        return refuse("'" + pattern + "' is no regular expression: " + error);
      if (!schedule::parseWords(std::string_view(words), given.words, error))
        return refuse(error);
      context.given.push_back(std::move(given));
    }
    return success();
  }

  static void reportUnmatched(ProgramContext &context,
                              const GivenSchedule &given) {
    InFlightDiagnostic error = emitCodedError(context.module, 3008);
    error << "--schedule=" << given.text << ": the symbol of no kernel matches; kernels: ";
    SmallVector<StringRef> symbols;
    for (auto &[spec, kernel] : context.kernelOf)
      symbols.push_back(kernel.getSymName());
    llvm::sort(symbols);
    llvm::interleaveComma(symbols, error);
  }

  LogicalResult readModel(ProgramContext &context) {
    model = context.module->getAttrOfType<DictionaryAttr>(dsv3::kModelAttr);
    if (!model)
      return context.module.emitError("module has no '")
             << dsv3::kModelAttr << "' attribute";
    context.mesh = dsv3::getMesh(context.module);
    if (!scheduleAs.empty() && scheduleAs != "ep=1")
      return emitCodedError(context.module, 2002)
             << "schedule-as must be ep=1, got '" << scheduleAs << "'";
    context.scheduleAsOneRank = !scheduleAs.empty();
    auto number = [&](StringRef key, int64_t &value) -> LogicalResult {
      auto attribute = model.getAs<IntegerAttr>(key);
      if (!attribute)
        return context.module.emitError("'")
               << dsv3::kModelAttr << "' lacks the number '" << key << "'";
      value = attribute.getInt();
      return success();
    };
    if (failed(number("num_experts_per_token", context.topk)) ||
        failed(number("max_seq_len", context.maxSeqLen)) ||
        failed(number("max_batch_size", context.maxBatchSize)) ||
        failed(number("page_size", context.pageSize)) ||
        failed(number("hidden_size", hidden)))
      return failure();
    if (context.ep() > 1 && failed(number("num_experts", context.experts)))
      return failure();
    auto activations = model.getAs<StringAttr>("activations");
    if (!activations)
      return context.module.emitError("'")
             << dsv3::kModelAttr << "' lacks 'activations'";
    context.deterministic = model.contains(dsv3::kDeterministic);
    context.act = activations.getValue() == "f32" ? kernels::Act::f32
                                                  : kernels::Act::bf16;
    for (auto func : context.module.getOps<func::FuncOp>()) {
      auto bucket = func->getAttrOfType<dsv3::BucketAttr>(dsv3::kBucketAttr);
      if (!bucket)
        return func.emitError("function '")
               << func.getSymName() << "' has no bucket";
      context.drafts |= bucket.getKind() == dsv3::BucketKind::DraftHead;
      if (!dsv3::isHead(bucket.getKind()))
        context.hiddenRows =
            std::max(context.hiddenRows,
                     bucket.getTokens() * dsv3::getMicroBatches(func));
    }
    if (context.hiddenRows == 0)
      return context.module.emitError("no bucket of decode or prefill");
    return success();
  }

  int64_t hiddenBytes(ProgramContext &context) {
    Builder b(context.module);
    Type element = context.act == kernels::Act::f32 ? Type(b.getF32Type())
                                                    : b.getBF16Type();
    return context.hiddenRows * context.rowBytes(element, hidden);
  }

  void lowerSymbols(ProgramContext &context) {
    OpBuilder &b = context.program;
    // Scales that kernels read, and those that only the loader does.
    llvm::DenseSet<StringRef> scales, consumed;
    for (auto op : context.module.getOps<dsv3::ParameterOp>())
      if (op.getScale())
        (dsv3::isQuantized(op.getType()) ? scales : consumed)
            .insert(*op.getScale());
    for (Operation &op : *context.module.getBody()) {
      if (auto parameter = dyn_cast<dsv3::ParameterOp>(op)) {
        hasFP8 |= parameter.getScale() && !dsv3::isInt4(parameter.getType());
        StringRef name = parameter.getSymName();
        if (consumed.contains(name) && !scales.contains(name))
          continue;
        dsv3::ParameterOp scale;
        if (parameter.getScale() && !dsv3::isQuantized(parameter.getType()))
          scale = context.symbols.lookup<dsv3::ParameterOp>(
              *parameter.getScale());
        lowerParameter(context, parameter, scales.contains(name), scale);
      } else if (auto table = dyn_cast<dsv3::RopeTableOp>(op)) {
        exec::RopeTableOp::create(
            b, op.getLoc(), table.getSymName(),
            cast<RankedTensorType>(table.getType()).getDimSize(0),
            table.getInvFreq(), table.getScale());
      } else if (auto table = dyn_cast<dsv3::PlacementTableOp>(op)) {
        auto type = cast<RankedTensorType>(table.getType());
        exec::PlacementTableOp::create(b, op.getLoc(), table.getSymName(),
                                       table.getLayer(), type.getDimSize(0),
                                       type.getDimSize(1) - 1);
      }
    }
    lowerCommunicators(context);
    for (StringRef state : {lower::kHidden, lower::kHiddenDraft})
      if (state == lower::kHidden || context.drafts)
        exec::StateOp::create(b, context.module.getLoc(), state,
                              exec::StateKind::Buffer, IntegerAttr(),
                              TypeAttr(),
                              b.getI64IntegerAttr(hiddenBytes(context)),
                              IntegerAttr());
    for (auto op : context.module.getOps<dsv3::StateOp>()) {
      if (auto cache = dyn_cast<dsv3::CacheType>(op.getType()))
        exec::StateOp::create(
            b, op.getLoc(), op.getSymName(), exec::StateKind::PagedCache,
            b.getI64IntegerAttr(cache.getLatent() + cache.getRope()),
            TypeAttr::get(cache.getElementType()), IntegerAttr(),
            context.pitch(cache.getElementType(),
                          cache.getLatent() + cache.getRope()));
      else
        exec::StateOp::create(
            b, op.getLoc(), op.getSymName(), exec::StateKind::Buffer,
            IntegerAttr(), TypeAttr(),
            b.getI64IntegerAttr(
                4 * cast<dsv3::CountsType>(op.getType()).getSize()),
            IntegerAttr());
    }
  }

  /// One for each axis over which something is exchanged.
  static void lowerCommunicators(ProgramContext &context) {
    std::map<exec::Axis, int64_t> sizes;
    context.module.walk([&](dsv3::StartOp start) {
      exec::Axis axis = lower::axisOf(start.getAxis());
      sizes[axis] = axis == exec::Axis::Ep   ? context.ep()
                    : axis == exec::Axis::Tp ? context.tp()
                                             : context.ranks();
    });
    for (auto [axis, size] : sizes)
      exec::CommunicatorOp::create(
          context.program,
          getSymbolLoc(context.module.getContext(), exec::stringifyAxis(axis)),
          exec::stringifyAxis(axis), axis, size);
  }

  static func::CallOp findFirstCall(func::FuncOp func) {
    for (auto caller : func->getParentOfType<ModuleOp>().getOps<func::FuncOp>())
      for (auto call : caller.getOps<func::CallOp>())
        if (call.getCallee() == func.getSymName())
          return call;
    return {};
  }

  /// What a dump calls |arg|: the symbol that the first caller binds to it,
  /// without its layer.
  static std::string nameOf(BlockArgument arg, func::CallOp call) {
    StringRef symbol;
    if (call) {
      Value operand = call.getOperand(arg.getArgNumber());
      if (auto get = operand.getDefiningOp<dsv3::GetParameterOp>())
        symbol = get.getParameter();
      else if (auto get = operand.getDefiningOp<dsv3::GetStateOp>())
        symbol = get.getState();
    }
    if (symbol.consume_front("layers."))
      symbol = symbol.split('.').second;
    else if (auto [kind, layer] = symbol.rsplit('.');
             llvm::all_of(layer, llvm::isDigit))
      symbol = kind;
    return symbol.empty() ? lower::kHidden.str() : symbol.str();
  }

  LogicalResult lowerLayer(ProgramContext &context, func::FuncOp func) {
    OpBuilder &b = context.program;
    auto target = exec::FuncOp::create(b, func.getLoc(), func.getSymName(), 0,
                                       b.getArrayAttr({}));
    Block *body = &target.getBody().emplaceBlock();
    auto bucket = func->getAttrOfType<dsv3::BucketAttr>(dsv3::kBucketAttr);
    FunctionLowering lowering(context, func, bucket, body);
    func::CallOp firstCall = findFirstCall(func);
    SmallVector<std::string> names;
    auto addRef = [&](BlockArgument arg, StringRef suffix = "") {
      names.push_back(nameOf(arg, firstCall) + suffix.str());
      return body->addArgument(exec::RefType::get(b.getContext()),
                               getSymbolLoc(b.getContext(), names.back()));
    };
    auto isState = [](BlockArgument arg) {
      auto type = dyn_cast<RankedTensorType>(arg.getType());
      return type ? !type.hasStaticShape()
                  : isa<dsv3::CacheType, dsv3::CountsType>(arg.getType());
    };
    // Parameters, then states: the order of operands at the calls.
    for (BlockArgument arg : func.getArguments())
      if (!isState(arg) && !isa<dsv3::BatchType>(arg.getType())) {
        Storage storage{addRef(arg), {}};
        if (dsv3::isQuantized(arg.getType()))
          storage.scale = addRef(arg, ".scale");
        lowering.bind(arg, storage);
      }
    target.setNumParameters(body->getNumArguments());
    for (BlockArgument arg : func.getArguments())
      if (isState(arg))
        lowering.bind(arg, {addRef(arg), {}});
    target.setArgNamesAttr(
        b.getStrArrayAttr(SmallVector<StringRef>(names.begin(), names.end())));
    return lowering.run();
  }

  LogicalResult lowerEntry(ProgramContext &context, func::FuncOp func) {
    OpBuilder &b = context.program;
    auto bucket = func->getAttrOfType<dsv3::BucketAttr>(dsv3::kBucketAttr);
    bool isHead = dsv3::isHead(bucket.getKind());
    auto number = [&](int64_t value, bool present) {
      return present ? b.getI64IntegerAttr(value) : IntegerAttr();
    };
    auto kind = static_cast<exec::EntryKind>(bucket.getKind());
    bool exchanges = bucket.getCapacity() > 0;
    exec::RungAttr rung;
    if (exchanges)
      rung = exec::RungAttr::get(b.getContext(),
                                 bucket.getRung() == dsv3::Rung::Expected
                                     ? exec::Rung::Expected
                                     : exec::Rung::Worst);
    // The body is that of one micro-batch until it is woven.
    const int64_t microBatches = dsv3::getMicroBatches(func);
    auto entry = exec::EntryOp::create(
        b, func.getLoc(), dsv3::getEntryName(func), kind,
        number(bucket.getTokens() * microBatches, !isHead),
        number(bucket.getRows() * microBatches, !isHead),
        number(bucket.getQueries(), !isHead),
        isHead ? StringAttr()
               : func->getAttrOfType<StringAttr>(dsv3::kAttentionAttr),
        number(bucket.getLogits(), isHead), /*arena=*/IntegerAttr(), rung,
        number(bucket.getCapacity(), exchanges),
        number(bucket.getPairs(), exchanges), microBatches,
        /*overlap=*/exec::OverlapAttr(),
        microBatches > 1 ? b.getArrayAttr({}) : ArrayAttr());
    Block *body = &entry.getBody().emplaceBlock();
    FunctionLowering lowering(context, func, bucket, body);
    OpBuilder inside = OpBuilder::atBlockEnd(body);
    // Of the arguments that are numbers, in their order.
    SmallVector<exec::Input> inputs;
    if (isHead)
      inputs = {exec::Input::LogitRows};
    else
      inputs = {exec::Input::Tokens, exec::Input::HiddenRows};
    size_t nextInput = 0;
    for (BlockArgument arg : func.getArguments()) {
      if (isa<dsv3::BatchType>(arg.getType()))
        continue;
      auto type = dyn_cast<RankedTensorType>(arg.getType());
      bool isInput = type && type.getElementType().isInteger(32);
      if (!type || type.hasStaticShape() ||
          (isInput && nextInput == inputs.size()))
        return func.emitError("argument ")
               << arg.getArgNumber()
               << " of an entry is neither an input nor the hidden state";
      Storage storage;
      if (!isInput) {
        StringRef state = lower::hiddenReadBy(bucket.getKind());
        storage.data = exec::GetStateOp::create(
            inside, getSymbolLoc(b.getContext(), state), state);
      } else {
        exec::Input input = inputs[nextInput++];
        storage.data = exec::InputOp::create(
            inside, getSymbolLoc(b.getContext(), exec::stringifyInput(input)),
            input);
      }
      lowering.bind(arg, storage);
    }
    return lowering.run();
  }

  void setAttributes(ProgramContext &context) {
    ModuleOp module = context.module;
    Builder b(module);
    SmallVector<NamedAttribute> facts(model.getValue());
    facts.push_back(b.getNamedAttr("hidden_buffer_bytes",
                                   b.getI64IntegerAttr(hiddenBytes(context))));
    if (context.target.hasRowPitch())
      facts.push_back(
          b.getNamedAttr(exec::kRowAlignment, b.getI64IntegerAttr(16)));
    StringRef mode = !hasFP8                        ? "none"
                     : context.quantizesActivations ? "w8a8"
                                                    : "w8a16";
    facts.push_back(b.getNamedAttr("fp8_mode", b.getStringAttr(mode)));
    module->removeAttr(dsv3::kModelAttr);
    module->removeAttr(dsv3::kMeshAttr);
    if (dsv3::MeshAttr mesh = context.mesh)
      module->setAttr(exec::kMeshAttr,
                      exec::MeshAttr::get(&getContext(), mesh.getTp(),
                                          mesh.getDp(), mesh.getEp(),
                                          mesh.getNode(), mesh.getSlots(),
                                          splitsVocabulary));
    module->setAttr(exec::kModelAttr, b.getDictionaryAttr(facts));
    Attribute remarks = module->removeAttr(dsv3::kRemarksAttr);
    module->setAttr(exec::kRemarksAttr,
                    remarks ? remarks : b.getArrayAttr({}));
  }

  DictionaryAttr model;
  int64_t hidden = 0;
  bool hasFP8 = false;
  /// A rank has its part of the head's weight.
  bool splitsVocabulary = false;
};

} // namespace

} // namespace hadal
