// tile.kernel: its arguments and domain, its text, its words, its verifier.
#include "dialects/Diagnostics.h"
#include "dialects/Tile/IR/TileDialect.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace hadal::tile;

void KernelOp::build(OpBuilder &builder, OperationState &state, StringRef name,
                     ArrayRef<Type> argTypes, ArrayRef<StringRef> argNames,
                     ArrayRef<DomainDimAttr> domain, DictionaryAttr schedule,
                     SpecAttr spec, ArrayRef<int64_t> constants) {
  MLIRContext *context = builder.getContext();
  state.addAttribute(SymbolTable::getSymbolAttrName(),
                     builder.getStringAttr(name));
  SmallVector<Attribute> dims(domain.begin(), domain.end());
  state.addAttribute("domain", builder.getArrayAttr(dims));
  state.addAttribute("schedule", ScheduleAttr::get(context, schedule));
  state.addAttribute("arg_names", builder.getStrArrayAttr(argNames));
  if (!constants.empty())
    state.addAttribute("constants", builder.getDenseI64ArrayAttr(constants));
  if (spec)
    state.addAttribute("spec", spec);
  Block *block = new Block;
  for (Type type : argTypes)
    block->addArgument(type, state.location);
  for (size_t i = 0; i < domain.size(); ++i)
    block->addArgument(builder.getIndexType(), state.location);
  state.addRegion()->push_back(block);
}

Block::BlockArgListType KernelOp::getKernelArguments() {
  return getBody().getArguments().drop_back(getNumDims());
}

Block::BlockArgListType KernelOp::getCoordinates() {
  return getBody().getArguments().take_back(getNumDims());
}

// The arguments print as they are named; coordinates as d0, d1, ...
void KernelOp::getAsmBlockArgumentNames(Region &region,
                                        OpAsmSetValueNameFn setName) {
  if (region.empty() || getArgNames().size() + getNumDims() !=
                            region.getNumArguments())
    return;
  unsigned i = 0;
  for (Attribute argName : getArgNames())
    setName(region.getArgument(i++), cast<StringAttr>(argName).getValue());
  for (unsigned d = 0; d < getNumDims(); ++d)
    setName(region.getArgument(i++), "d" + std::to_string(d));
}

int64_t KernelOp::getNumItems(int64_t capacity) {
  int64_t items = 1;
  for (unsigned i = 0; i < getNumDims(); ++i) {
    int64_t extent = getDim(i).getExtent();
    if (extent < 0)
      extent = capacity;
    items *= llvm::divideCeil(extent, getDim(i).getStep());
  }
  return items;
}

template <typename AttrType>
static FailureOr<AttrType> findWord(KernelOp kernel, StringRef word,
                                    StringRef type) {
  Attribute value = kernel.getSchedule().getWords().get(word);
  if (!value) {
    hadal::emitCodedError(kernel, 3008)
        << "the schedule has no word '" << word << "', which the lowering reads; phase lower writes all words";
    return failure();
  }
  if (auto typed = dyn_cast<AttrType>(value))
    return typed;
  hadal::emitCodedError(kernel, 3008)
      << "the schedule's word '" << word << "' is " << value << "; it takes " << type;
  return failure();
}

FailureOr<int64_t> KernelOp::getWord(StringRef word) {
  auto value = findWord<IntegerAttr>(*this, word, "a number");
  // An i1 is an IntegerAttr too.
  if (succeeded(value) && value->getType().isInteger(1)) {
    hadal::emitCodedError(*this, 3008)
        << "the schedule's word '" << word << "' is " << Attribute(*value) << "; it takes a number";
    return failure();
  }
  if (failed(value))
    return failure();
  return value->getInt();
}

FailureOr<StringRef> KernelOp::getWordText(StringRef word) {
  auto value = findWord<StringAttr>(*this, word, "a text");
  if (failed(value))
    return failure();
  return value->getValue();
}

FailureOr<bool> KernelOp::getFlag(StringRef word) {
  auto value = findWord<BoolAttr>(*this, word, "true or false");
  if (failed(value))
    return failure();
  return value->getValue();
}

int64_t KernelOp::getNumSlots() {
  int64_t slots = 0;
  for (BlockArgument arg : getKernelArguments()) {
    auto view = dyn_cast<ViewType>(arg.getType());
    slots += view ? view.getNumSlots() : 1;
  }
  return slots;
}

// tile.kernel @name(%x: type, ...) domain(%m = ? by 16 in tokens, ...)
//     [spec kind {...}] schedule {...} [given {...}] { body }
ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  StringAttr name;
  if (parser.parseSymbolName(name, SymbolTable::getSymbolAttrName(),
                             result.attributes))
    return failure();
  SmallVector<OpAsmParser::Argument> args;
  SmallVector<Attribute> names;
  SmallVector<int64_t> constants;
  SMLoc argsLoc = parser.getCurrentLocation();
  if (parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren,
                               /*allowType=*/true, /*allowAttrs=*/true))
    return failure();
  for (auto [number, arg] : llvm::enumerate(args)) {
    names.push_back(builder.getStringAttr(arg.ssaName.name.drop_front()));
    for (NamedAttribute attr : arg.attrs) {
      if (attr.getName() != "constant" || !isa<UnitAttr>(attr.getValue()))
        return parser.emitError(argsLoc, "argument ")
               << number << " has attribute '" << attr.getName().getValue()
               << "'; only 'constant' is known";
      constants.push_back(number);
    }
    arg.attrs = {};
  }
  if (!constants.empty())
    result.addAttribute("constants", builder.getDenseI64ArrayAttr(constants));
  SmallVector<Attribute> dims;
  SmallVector<OpAsmParser::Argument> coordinates;
  auto parseDim = [&]() -> ParseResult {
    OpAsmParser::Argument iv;
    int64_t extent = -1, step = 0, boundDim = 0;
    Bound bound = Bound::None;
    if (parser.parseArgument(iv) || parser.parseEqual())
      return failure();
    iv.type = builder.getIndexType();
    if (failed(parser.parseOptionalQuestion()) && parser.parseInteger(extent))
      return failure();
    if (parser.parseKeyword("by") || parser.parseInteger(step))
      return failure();
    if (succeeded(parser.parseOptionalKeyword("in"))) {
      StringRef word;
      SMLoc loc = parser.getCurrentLocation();
      if (parser.parseKeyword(&word))
        return failure();
      std::optional<Bound> parsed = symbolizeBound(word);
      if (!parsed)
        return parser.emitError(loc, "unknown bound '") << word << "'";
      bound = *parsed;
      if (bound == Bound::ExpertRows &&
          (parser.parseLSquare() || parser.parseInteger(boundDim) ||
           parser.parseRSquare()))
        return failure();
    }
    coordinates.push_back(iv);
    dims.push_back(DomainDimAttr::get(builder.getContext(), extent, step,
                                      bound, boundDim));
    return success();
  };
  if (parser.parseKeyword("domain") ||
      parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseDim))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("spec"))) {
    StringRef kind;
    DictionaryAttr fields;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&kind) || parser.parseAttribute(fields))
      return failure();
    auto spec = parser.getChecked<SpecAttr>(
        loc, parser.getContext(), builder.getStringAttr(kind), fields);
    if (!spec)
      return failure();
    result.addAttribute("spec", spec);
  }
  DictionaryAttr schedule = builder.getDictionaryAttr({}), given = schedule;
  if (succeeded(parser.parseOptionalKeyword("schedule")) &&
      (parser.parseAttribute(schedule) ||
       (succeeded(parser.parseOptionalKeyword("given")) &&
        parser.parseAttribute(given))))
    return failure();
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  result.addAttribute("domain", builder.getArrayAttr(dims));
  result.addAttribute("schedule", ScheduleAttr::get(builder.getContext(),
                                                    schedule, given));
  result.addAttribute("arg_names", builder.getArrayAttr(names));
  args.append(coordinates.begin(), coordinates.end());
  return parser.parseRegion(*result.addRegion(), args);
}

void KernelOp::print(OpAsmPrinter &p) {
  p << " ";
  p.printSymbolName(getSymName());
  p << "(";
  Builder builder(getContext());
  NamedAttribute constant = builder.getNamedAttr("constant",
                                                 builder.getUnitAttr());
  llvm::interleaveComma(getKernelArguments(), p, [&](BlockArgument arg) {
    p.printRegionArgument(arg, isConstant(arg.getArgNumber())
                                   ? ArrayRef(constant)
                                   : ArrayRef<NamedAttribute>());
  });
  p << ") domain(";
  unsigned i = 0;
  llvm::interleaveComma(getCoordinates(), p, [&](BlockArgument arg) {
    DomainDimAttr dim = getDim(i++);
    p.printOperand(arg);
    p << " = ";
    if (dim.getExtent() < 0)
      p << "?";
    else
      p << dim.getExtent();
    p << " by " << dim.getStep();
    if (dim.getBound() != Bound::None)
      p << " in " << stringifyBound(dim.getBound());
    if (dim.getBound() == Bound::ExpertRows)
      p << "[" << dim.getBoundDim() << "]";
  });
  p << ")";
  if (SpecAttr spec = getSpecAttr())
    p << " spec " << spec.getKind().getValue() << " " << spec.getFields();
  p << " schedule " << getSchedule().getWords();
  if (!getSchedule().getGiven().empty())
    p << " given " << getSchedule().getGiven();
  p.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(),
      {"sym_name", "domain", "spec", "schedule", "arg_names", "constants"});
  p << " ";
  p.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

/// Whether memory behind |view|, or a view of it, is stored to.
static bool isWritten(Value view) {
  return llvm::any_of(view.getUses(), [](OpOperand &use) {
    Operation *op = use.getOwner();
    if (isa<StoreOp, ReduceIntoOp>(op))
      return true;
    return op->getNumResults() == 1 && use.getOperandNumber() == 0 &&
           isa<ViewType>(op->getResult(0).getType()) &&
           isWritten(op->getResult(0));
  });
}

LogicalResult KernelOp::verify() {
  unsigned numDims = getNumDims();
  if (numDims == 0)
    return emitOpError("needs a domain of one dimension or more");
  if (getBody().getNumArguments() < numDims)
    return emitOpError("has fewer block arguments than domain dimensions");
  bool hasSizes = false;
  for (BlockArgument arg : getKernelArguments()) {
    if (isa<SizesType>(arg.getType()))
      hasSizes = true;
    else if (!isa<ViewType>(arg.getType()))
      return emitOpError("argument ")
             << arg.getArgNumber() << " has type " << arg.getType()
             << "; expected a view or !tile.sizes";
  }
  if (getArgNames().size() != getKernelArguments().size())
    return emitOpError("has ") << getArgNames().size() << " names for "
                               << getKernelArguments().size() << " arguments";
  for (int64_t number : getConstants()) {
    if (number < 0 || number >= int64_t(getKernelArguments().size()) ||
        !isa<ViewType>(getKernelArguments()[number].getType()))
      return emitOpError("constant argument ") << number << " is no view";
    if (isWritten(getKernelArguments()[number]))
      return emitOpError("writes argument ")
             << number << ", which is marked constant";
  }
  for (unsigned i = 0; i < numDims; ++i) {
    DomainDimAttr dim = getDim(i);
    if (dim.getStep() <= 0)
      return emitOpError("domain dimension ") << i << " has no positive step";
    if (dim.getExtent() < 0 && i != 0)
      return emitOpError("domain dimension ")
             << i << " has extent '?'; only the first may";
    if (dim.getExtent() == 0)
      return emitOpError("domain dimension ") << i << " is empty";
    if (dim.getBound() != Bound::None && !hasSizes)
      return emitOpError("domain dimension ")
             << i << " is bounded but the kernel takes no !tile.sizes";
    if (dim.getBound() == Bound::ExpertRows &&
        (dim.getBoundDim() < 0 || dim.getBoundDim() >= numDims ||
         dim.getBoundDim() == i))
      return emitOpError("domain dimension ")
             << i << " is bounded by the rows of an expert in dimension "
             << dim.getBoundDim() << ", which is not another dimension";
  }
  for (BlockArgument arg : getCoordinates())
    if (!arg.getType().isIndex())
      return emitOpError("coordinate arguments must be of type index");
  return success();
}
