#include "dialects/Exec/IR/Exec.h"

#include "mlir/IR/OpImplementation.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace hadal::exec;

//===----------------------------------------------------------------------===//
// Assembly of operand lists
//===----------------------------------------------------------------------===//

// Every operand is an !exec.ref, so the types are left out.

static ParseResult
parseRefs(OpAsmParser &parser,
          SmallVectorImpl<OpAsmParser::UnresolvedOperand> &refs,
          SmallVectorImpl<Type> &types) {
  if (parser.parseOperandList(refs, OpAsmParser::Delimiter::Paren))
    return failure();
  types.assign(refs.size(), RefType::get(parser.getContext()));
  return success();
}

static void printRefs(OpAsmPrinter &printer, Operation *, OperandRange refs,
                      TypeRange) {
  printer << "(" << refs << ")";
}

// slots ::= `(` (ssa-use | integer) % `,` `)`
static ParseResult
parseSlots(OpAsmParser &parser,
           SmallVectorImpl<OpAsmParser::UnresolvedOperand> &refs,
           SmallVectorImpl<Type> &types, DenseI64ArrayAttr &scalars) {
  SmallVector<int64_t> values;
  auto parseSlot = [&]() -> ParseResult {
    OpAsmParser::UnresolvedOperand ref;
    OptionalParseResult isRef = parser.parseOptionalOperand(ref);
    if (isRef.has_value()) {
      refs.push_back(ref);
      values.push_back(LaunchOp::kRef);
      return *isRef;
    }
    return parser.parseInteger(values.emplace_back());
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseSlot))
    return failure();
  types.assign(refs.size(), RefType::get(parser.getContext()));
  scalars = DenseI64ArrayAttr::get(parser.getContext(), values);
  return success();
}

static void printSlots(OpAsmPrinter &printer, LaunchOp op, OperandRange refs,
                       TypeRange, DenseI64ArrayAttr scalars) {
  unsigned next = 0;
  printer << "(";
  llvm::interleaveComma(scalars.asArrayRef(), printer, [&](int64_t value) {
    if (value == LaunchOp::kRef)
      printer << refs[next++];
    else
      printer << value;
  });
  printer << ")";
}

// parts ::= `[` (`(` ssa-use `,` ssa-use `,` integer `x` integer
//                (`counted` integer)? (`of` type)? `)`) % `,` `]`
static ParseResult
parseParts(OpAsmParser &parser,
           SmallVectorImpl<OpAsmParser::UnresolvedOperand> &send,
           SmallVectorImpl<OpAsmParser::UnresolvedOperand> &receive,
           DenseI64ArrayAttr &rows, DenseI64ArrayAttr &rowBytes,
           DenseI64ArrayAttr &countColumns, TypeAttr &sumType) {
  SmallVector<int64_t> allRows, allBytes, allColumns;
  auto parsePart = [&]() -> ParseResult {
    int64_t &column = allColumns.emplace_back(CollectiveOp::kAll);
    if (parser.parseLParen() || parser.parseOperand(send.emplace_back()) ||
        parser.parseComma() || parser.parseOperand(receive.emplace_back()) ||
        parser.parseComma() || parser.parseInteger(allRows.emplace_back()) ||
        parser.parseKeyword("x") ||
        parser.parseInteger(allBytes.emplace_back()))
      return failure();
    if (succeeded(parser.parseOptionalKeyword("counted")) &&
        parser.parseInteger(column))
      return failure();
    if (succeeded(parser.parseOptionalKeyword("of"))) {
      SMLoc at = parser.getCurrentLocation();
      Type type;
      if (parser.parseType(type))
        return failure();
      if (sumType && sumType.getValue() != type)
        return parser.emitError(at, "parts of one collective have one type");
      sumType = TypeAttr::get(type);
    }
    return parser.parseRParen();
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square, parsePart))
    return failure();
  rows = DenseI64ArrayAttr::get(parser.getContext(), allRows);
  rowBytes = DenseI64ArrayAttr::get(parser.getContext(), allBytes);
  countColumns = DenseI64ArrayAttr::get(parser.getContext(), allColumns);
  return success();
}

static void printParts(OpAsmPrinter &printer, CollectiveOp op,
                       OperandRange send, OperandRange receive,
                       DenseI64ArrayAttr rows, DenseI64ArrayAttr rowBytes,
                       DenseI64ArrayAttr countColumns, TypeAttr sumType) {
  printer << "[";
  llvm::interleaveComma(llvm::seq<size_t>(rows.size()), printer, [&](size_t i) {
    printer << "(" << send[i] << ", " << receive[i] << ", " << rows[i] << " x "
            << rowBytes[i];
    if (countColumns[i] != CollectiveOp::kAll)
      printer << " counted " << countColumns[i];
    if (sumType)
      printer << " of " << sumType.getValue();
    printer << ")";
  });
  printer << "]";
}

#define GET_OP_CLASSES
#include "dialects/Exec/IR/ExecOps.cpp.inc"

//===----------------------------------------------------------------------===//
// ParameterOp, RopeTableOp, StateOp
//===----------------------------------------------------------------------===//

static int64_t getElementBytes(Type type) {
  return llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

/// Bytes of |op| in memory; none where they leave 63 bits.
static std::optional<int64_t> countBytes(ParameterOp op) {
  int64_t element = getElementBytes(op.getDtype());
  std::optional<int64_t> bytes = element;
  auto multiply = [&](int64_t factor) {
    bytes = bytes ? llvm::checkedMul(*bytes, factor) : bytes;
  };
  for (auto [d, extent] : llvm::enumerate(op.getInner())) {
    if (d + 1 == op.getInner().size() && op.getPitch()) {
      bytes = bytes ? std::optional(*bytes / element) : bytes;
      multiply(*op.getPitch());
    } else {
      multiply(extent);
    }
  }
  std::optional<int64_t> rows = 0;
  for (int64_t part : op.getRows())
    rows = rows ? llvm::checkedAdd(*rows, part) : rows;
  if (!rows)
    return std::nullopt;
  multiply(*rows);
  if (op.getKind() == ParameterKind::Stack)
    multiply(*op.getCount());
  return bytes;
}

/// Checks what |op| says of the rank's share.
static LogicalResult verifySlice(ParameterOp op) {
  bool byPlacement = op.getAxis() == Axis::Ep;
  if (byPlacement != op.getLayer().has_value() || op.getLayer().value_or(0) < 0)
    return op.emitOpError("of a slice on ep has the layer whose placement it "
                          "follows, no other has one");
  if (!op.getAxis())
    return success();
  int64_t dim = *op.getSliceDim(), unit = *op.getSliceUnit();
  if (byPlacement) {
    if (op.getKind() != ParameterKind::Stack || dim != 0 || unit != 1)
      return op.emitOpError("has a slice on ep, which is of the arrays of a "
                            "stack: dim 0 unit 1");
    return success();
  }
  if (op.getKind() != ParameterKind::Tensor || dim < 0 || dim > 1 ||
      (dim == 1 && op.getInner().size() != 1))
    return op.emitOpError("has a slice of dimension ")
           << dim << ", expected the rows or columns of a tensor";
  int64_t extent = dim ? op.getInner()[0] : op.getRows()[0];
  if (unit <= 0 || extent % unit)
    return op.emitOpError("has a slice of ")
           << extent << " in units of " << unit;
  return success();
}

LogicalResult ParameterOp::verify() {
  if (getParts().empty() || getRows().size() != getParts().size())
    return emitOpError("has ")
           << getParts().size() << " parts and " << getRows().size()
           << " row counts";
  for (int64_t extent : llvm::concat<const int64_t>(getRows(), getInner()))
    if (extent <= 0)
      return emitOpError("has an extent of ") << extent;
  if (getKind() == ParameterKind::Tensor && getCount())
    return emitOpError("of kind tensor takes no count");
  if (getKind() != ParameterKind::Tensor && getCount().value_or(0) <= 0)
    return emitOpError("of kind ")
           << stringifyParameterKind(getKind()) << " needs a positive count";
  if (getKind() != ParameterKind::Segments && getParts().size() != 1)
    return emitOpError("of kind ")
           << stringifyParameterKind(getKind()) << " takes one part, found "
           << getParts().size();
  if (getKind() == ParameterKind::Stack &&
      !cast<StringAttr>(getParts()[0]).getValue().contains("{e}"))
    return emitOpError("of kind stack needs a name pattern with {e}");
  if (getKind() == ParameterKind::Segments)
    for (int64_t rows : getRows().drop_back())
      if (rows % *getCount())
        return emitOpError("has a part of ")
               << rows << " rows, not a multiple of " << *getCount();
  if (!getDtype().isIntOrFloat())
    return emitOpError("element type ") << getDtype() << " is not a number";
  if (getAccepts().empty())
    return emitOpError("accepts no dtype of the file");
  if (getPlace() == Placement::Map &&
      !llvm::is_contained(getAccepts().getAsValueRange<TypeAttr>(), getDtype()))
    return emitOpError("is mapped and must accept its own element type ")
           << getDtype();
  if (getPitch() &&
      (getInner().empty() || *getPitch() % 16 ||
       *getPitch() < getInner().back() * getElementBytes(getDtype())))
    return emitOpError("has a pitch of ")
           << *getPitch() << " bytes, expected a multiple of 16 that holds the "
           << "innermost row of a matrix";
  if (!countBytes(*this))
    return emitOpError("takes 2^63 bytes or more");
  if (failed(verifySlice(*this)))
    return failure();
  if (!getScaleParts())
    return success();
  if (!getDtype().isBF16() || getPlace() != Placement::Copy ||
      getKind() != ParameterKind::Tensor || getInner().size() != 1 ||
      !llvm::all_of(getAccepts().getAsValueRange<TypeAttr>(),
                    llvm::IsaPred<Float8E4M3FNType>))
    return emitOpError("is dequantised and must be one matrix, copied from "
                       "f8E4M3FN as bf16");
  if (getScaleParts()->size() != getParts().size() ||
      getScaleAccepts()->empty() || getScaleBlock()->size() != 2 ||
      llvm::any_of(*getScaleBlock(), [](int64_t n) { return n <= 0; }))
    return emitOpError("needs a scale tensor for each part, a dtype of it and a "
                       "block of rows and columns");
  return success();
}

int64_t ParameterOp::getBytes() { return *countBytes(*this); }

LogicalResult RopeTableOp::verify() {
  if (getPositions() <= 0)
    return emitOpError("has ") << getPositions() << " positions";
  if (getInvFreq().empty())
    return emitOpError("has no frequency");
  if (!getScale().isFinite())
    return emitOpError("has a scale that is not finite");
  return success();
}

LogicalResult StateOp::verify() {
  if (getKind() == StateKind::PagedCache) {
    if (getRow().value_or(0) <= 0 || !getDtype() || getBytes())
      return emitOpError("paged_cache takes the elements of a row and their "
                         "type, e.g. row 576 of bf16");
    if (getPitch() &&
        (*getPitch() % 16 ||
         *getPitch() < *getRow() * getElementBytes(*getDtype())))
      return emitOpError("has a pitch of ")
             << *getPitch() << " bytes, expected a multiple of 16 that holds a "
             << "row";
    return success();
  }
  if (getBytes().value_or(0) <= 0 || getRow() || getDtype() || getPitch())
    return emitOpError("buffer takes a positive number of bytes");
  return success();
}

//===----------------------------------------------------------------------===//
// References
//===----------------------------------------------------------------------===//

void GetParameterOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRef(), getParameter());
}

LogicalResult
GetParameterOp::verifySymbolUses(SymbolTableCollection &symbols) {
  Operation *symbol = symbols.lookupNearestSymbolFrom(*this, getParameterAttr());
  if (!isa_and_nonnull<ParameterOp, RopeTableOp, PlacementTableOp>(symbol))
    return emitOpError("'") << getParameter() << "' is not a parameter";
  if (!isa<EntryOp>((*this)->getParentOp()))
    return emitOpError("belongs in an entry; a function takes its parameters "
                       "as arguments");
  return success();
}

void GetStateOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRef(), getState());
}

LogicalResult GetStateOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!symbols.lookupNearestSymbolFrom<StateOp>(*this, getStateAttr()))
    return emitOpError("'") << getState() << "' is not a state";
  if (!isa<EntryOp>((*this)->getParentOp()))
    return emitOpError("belongs in an entry; a function takes its states as "
                       "arguments");
  return success();
}

void InputOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRef(), stringifyInput(getName()));
}

LogicalResult InputOp::verify() {
  if (getOffset() < 0 || getOffset() % kBufferAlign)
    return emitOpError("offset ")
           << getOffset() << " is not a multiple of " << kBufferAlign;
  return success();
}

LogicalResult AtOp::verify() {
  if (getOffset() <= 0)
    return emitOpError("offset ") << getOffset() << " is not positive";
  if (auto arg = dyn_cast<BlockArgument>(getBase())) {
    auto func = dyn_cast<FuncOp>(arg.getOwner()->getParentOp());
    if (func && arg.getArgNumber() >= func.getNumParameters())
      return success();
  } else if (getBase().getDefiningOp<GetStateOp>()) {
    return success();
  }
  return emitOpError("is of a reference that is no state");
}

void OutputOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRef(), stringifyOutput(getName()));
}

void BufferOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRef(), getLabel());
}

LogicalResult BufferOp::verify() {
  if (getBytes() <= 0)
    return emitOpError("has ") << getBytes() << " bytes";
  if (int64_t offset = getOffset().value_or(0);
      offset < 0 || offset % kBufferAlign)
    return emitOpError("offset ")
           << offset << " is not a multiple of " << kBufferAlign;
  return success();
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

LogicalResult LaunchOp::verify() {
  if (getItems() <= 0)
    return emitOpError("has ") << getItems() << " work items";
  if (getStream() != kLaunchStream && getStream() != kCollectiveStream)
    return emitOpError("names stream ")
           << getStream() << ", expected " << kLaunchStream << " or "
           << kCollectiveStream;
  if (static_cast<size_t>(llvm::count(getScalars(), kRef)) != getRefs().size())
    return emitOpError("has ") << getRefs().size() << " references for "
                               << llvm::count(getScalars(), kRef) << " slots";
  if (getOp() && getOp()->empty())
    return emitOpError("has an empty op");
  if (!getMembers())
    return success();
  if (!getOp())
    return emitOpError("has members but no op that they were fused into");
  llvm::SmallDenseSet<StringRef> seen;
  for (StringRef member : getMembers()->getAsValueRange<StringAttr>())
    if (member.empty() || !seen.insert(member).second)
      return emitOpError("has the member '")
             << member << "', expected names, each once";
  if (seen.empty())
    return emitOpError("has an empty list of members");
  return success();
}

void LaunchOp::setNames(StringRef op, ArrayRef<std::string> members) {
  Builder b(getContext());
  setOp(op);
  if (members.size() != 1 || members.front() != op)
    setMembersAttr(b.getStrArrayAttr(
        SmallVector<StringRef>(members.begin(), members.end())));
}

SmallVector<StringRef> LaunchOp::getAllMembers() {
  if (getMembers())
    return llvm::to_vector(getMembers()->getAsValueRange<StringAttr>());
  if (getOp())
    return {*getOp()};
  return {};
}

Value LaunchOp::getRef(unsigned slot) {
  ArrayRef<int64_t> scalars = getScalars();
  if (scalars[slot] != kRef)
    return {};
  return getRefs()[llvm::count(scalars.take_front(slot), kRef)];
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  Operation *symbol = symbols.lookupNearestSymbolFrom(*this, getKernelAttr());
  // By name: the dialect does not depend on tile.
  if (!symbol || symbol->getName().getStringRef() != "tile.kernel")
    return emitOpError("'") << getKernel() << "' is not a tile.kernel";
  return success();
}

/// Checks that |callee| names a function and that each of |count| iterations
/// gets as many parameters and states as it has.
static LogicalResult verifyCallee(Operation *op, SymbolTableCollection &symbols,
                                  FlatSymbolRefAttr callee, int64_t count,
                                  size_t parameters, size_t states) {
  auto func = symbols.lookupNearestSymbolFrom<FuncOp>(op, callee);
  if (!func)
    return op->emitOpError("'") << callee.getValue() << "' is not an exec.func";
  auto check = [&](size_t given, size_t taken, StringRef what) {
    if (given == count * taken)
      return success();
    InFlightDiagnostic diag = op->emitOpError("gives ")
                              << given << " " << what << ", '"
                              << callee.getValue() << "' takes " << taken;
    if (count != 1)
      diag << " in each of " << count << " iterations";
    return LogicalResult(diag);
  };
  return success(
      succeeded(check(parameters, func.getParameters().size(), "parameters")) &&
      succeeded(check(states, func.getStates().size(), "states")));
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyCallee(*this, symbols, getCalleeAttr(), 1,
                      getParameters().size(), getStates().size());
}

LogicalResult RepeatOp::verify() {
  if (getCount() <= 0)
    return emitOpError("has a count of ") << getCount();
  return success();
}

LogicalResult RepeatOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyCallee(*this, symbols, getCalleeAttr(), getCount(),
                      getParameters().size(), getStates().size());
}

//===----------------------------------------------------------------------===//
// FuncOp, EntryOp
//===----------------------------------------------------------------------===//

/// The ops that may stand in a function or an entry.
static LogicalResult verifyBody(Operation *op, Block &block) {
  for (Operation &inner : block)
    if (!isa<GetParameterOp, GetStateOp, AtOp, InputOp, OutputOp, BufferOp,
             LaunchOp, CallOp, RepeatOp, CollectiveOp, RecordOp, WaitOp>(inner))
      return inner.emitError("'")
             << inner.getName() << "' is not a command of the program";
  return success();
}

// exec.func @name(%params...) states(%states...) { body }
ParseResult FuncOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> args, states;
  if (parser.parseSymbolName(name, SymbolTable::getSymbolAttrName(),
                             result.attributes) ||
      parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren) ||
      parser.parseKeyword("states") ||
      parser.parseArgumentList(states, OpAsmParser::Delimiter::Paren))
    return failure();
  result.addAttribute("num_parameters",
                      parser.getBuilder().getI64IntegerAttr(args.size()));
  args.append(states.begin(), states.end());
  SmallVector<StringRef> names;
  for (const OpAsmParser::Argument &arg : args)
    names.push_back(arg.ssaName.name.drop_front());
  result.addAttribute("arg_names",
                      parser.getBuilder().getStrArrayAttr(names));
  for (OpAsmParser::Argument &arg : args)
    arg.type = RefType::get(parser.getContext());
  Region *body = result.addRegion();
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseRegion(*body, args))
    return failure();
  if (body->empty()) {
    // `{}` is a function without commands.
    Block &block = body->emplaceBlock();
    for (OpAsmParser::Argument &arg : args)
      block.addArgument(arg.type, result.location);
  }
  return success();
}

void FuncOp::print(OpAsmPrinter &p) {
  p << " ";
  p.printSymbolName(getSymName());
  auto printArgs = [&](Block::BlockArgListType args) {
    p << "(";
    llvm::interleaveComma(args, p,
                          [&](BlockArgument arg) { p.printOperand(arg); });
    p << ")";
  };
  printArgs(getParameters());
  p << " states";
  printArgs(getStates());
  p.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                     {"sym_name", "num_parameters", "arg_names"});
  p << " ";
  p.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

void FuncOp::getAsmBlockArgumentNames(Region &region,
                                      OpAsmSetValueNameFn setName) {
  for (auto [arg, name] :
       llvm::zip(region.getArguments(), getArgNames().getAsRange<StringAttr>()))
    setName(arg, name);
}

LogicalResult FuncOp::verify() {
  if (getArgNames().size() != getBody().getNumArguments())
    return emitOpError("has ")
           << getArgNames().size() << " names for "
           << getBody().getNumArguments() << " arguments";
  if (getNumParameters() < 0 ||
      getNumParameters() > getBody().getNumArguments())
    return emitOpError("has ")
           << getNumParameters() << " parameters among "
           << getBody().getNumArguments() << " arguments";
  if (!llvm::all_of(getBody().getArgumentTypes(), llvm::IsaPred<RefType>))
    return emitOpError("takes !exec.ref arguments only");
  return verifyBody(*this, getBodyBlock());
}

LogicalResult EntryOp::verify() {
  bool isHead =
      getKind() == EntryKind::Head || getKind() == EntryKind::DraftHead;
  if (isHead != getLogitRows().has_value() || isHead == getTokens().has_value())
    return emitOpError(isHead ? "of a head takes logit_rows alone"
                              : "takes tokens, rows and queries");
  if (isHead) {
    if (*getLogitRows() <= 0)
      return emitOpError("has ") << *getLogitRows() << " logit rows";
    if (getAttention())
      return emitOpError("of a head has no attention form");
  } else {
    if (*getRows() <= 0 || *getTokens() < *getRows() || *getQueries() <= 0 ||
        *getQueries() > *getTokens())
      return emitOpError("has an impossible bucket: ")
             << *getTokens() << " tokens, " << *getRows() << " rows, "
             << *getQueries() << " queries per row";
    if (getKind() == EntryKind::Decode &&
        *getQueries() * *getRows() != *getTokens())
      return emitOpError("of decode has ")
             << *getTokens() << " tokens, expected " << *getQueries()
             << " for each of its " << *getRows() << " rows";
    if (getAttention() != "absorbed" && getAttention() != "expanded")
      return emitOpError("needs its attention form, absorbed or expanded");
  }
  if (getRung()) {
    if (isHead)
      return emitOpError("of a head has no rung");
    if (*getCapacity() <= 0 || *getPairs() < *getCapacity())
      return emitOpError("has a capacity of ")
             << *getCapacity() << " rows and " << *getPairs()
             << " pairs, expected a pair for each row";
  }
  if (getMicroBatches() != 1 && getMicroBatches() != 2)
    return emitOpError("has ")
           << getMicroBatches() << " micro-batches, expected 1 or 2";
  if (getMicroBatches() == 2 &&
      (isHead || !getRung() || *getTokens() % 2 || *getRows() % 2))
    return emitOpError("of two micro-batches has an even number of tokens and "
                       "of rows, and a rung");
  if (getInterleaving() && getMicroBatches() != 2)
    return emitOpError("of one micro-batch has nothing to interleave");
  if (getOverlap() && isHead)
    return emitOpError("of a head has no micro-batches");
  if (int64_t arena = getArena().value_or(0);
      arena < 0 || arena % kBufferAlign)
    return emitOpError("arena of ")
           << arena << " bytes is not a multiple of " << kBufferAlign;
  return verifyBody(*this, getBodyBlock());
}
