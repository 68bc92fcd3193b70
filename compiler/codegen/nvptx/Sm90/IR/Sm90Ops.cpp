#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "mlir/Interfaces/FunctionImplementation.h"

using namespace mlir;
using namespace hadal::sm90;

#define GET_OP_CLASSES
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Ops.cpp.inc"

//===----------------------------------------------------------------------===//
// KernelOp
//===----------------------------------------------------------------------===//

void KernelOp::build(OpBuilder &builder, OperationState &state, StringRef name,
                     int64_t threads, ArrayRef<Type> slots) {
  state.addAttribute(SymbolTable::getSymbolAttrName(),
                     builder.getStringAttr(name));
  state.addAttribute("threads", builder.getI64IntegerAttr(threads));
  Block &block = state.addRegion()->emplaceBlock();
  for (Type slot : slots)
    block.addArgument(slot, state.location);
}

Value KernelOp::addTensorMap(MapAttr map) {
  SmallVector<Attribute> maps(getTensorMaps().getValue());
  Block &block = getBodyBlock();
  unsigned first = block.getNumArguments() - maps.size();
  for (auto [i, known] : llvm::enumerate(maps))
    if (known == map)
      return block.getArgument(first + i);
  maps.push_back(map);
  setTensorMapsAttr(ArrayAttr::get(getContext(), maps));
  return block.addArgument(TensorMapType::get(getContext()), getLoc());
}

// sm90.kernel @name(%a: type, ...) attributes {...} { body }
ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &state) {
  StringAttr name;
  SmallVector<OpAsmParser::Argument> args;
  Region *body = state.addRegion();
  if (parser.parseSymbolName(name, SymbolTable::getSymbolAttrName(),
                             state.attributes) ||
      parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren,
                               /*allowType=*/true) ||
      parser.parseOptionalAttrDictWithKeyword(state.attributes) ||
      parser.parseRegion(*body, args))
    return failure();
  if (body->empty())
    body->emplaceBlock();
  return success();
}

void KernelOp::print(OpAsmPrinter &printer) {
  printer << " ";
  printer.printSymbolName(getSymName());
  printer << "(";
  llvm::interleaveComma(getBodyBlock().getArguments(), printer,
                        [&](BlockArgument arg) {
                          printer.printRegionArgument(arg);
                        });
  printer << ")";
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {SymbolTable::getSymbolAttrName()});
  printer << " ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult KernelOp::verify() {
  int64_t threads = getThreads();
  if (threads < 32 || threads > 1024 || threads % 32 != 0)
    return emitOpError("has ") << threads
                               << " threads, expected a multiple of 32 up to "
                                  "1024";
  unsigned maps = getTensorMaps().size();
  Block &block = getBodyBlock();
  unsigned args = block.getNumArguments();
  if (args < maps)
    return emitOpError("has ") << maps << " tensor maps but " << args
                               << " arguments";
  for (auto [i, arg] : llvm::enumerate(block.getArguments())) {
    bool isMap = isa<TensorMapType>(arg.getType());
    if (isMap != (i >= args - maps))
      return emitOpError("takes its tensor maps as its last arguments, one for "
                         "each entry of tensor_maps; argument ")
             << i << " is " << arg.getType();
    if (!isMap && !arg.getType().isInteger(64) &&
        !isa<LLVM::LLVMPointerType>(arg.getType()))
      return emitOpError("argument ")
             << i << " is " << arg.getType()
             << ", expected a pointer, i64 or a tensor map";
  }
  for (auto map : getTensorMaps().getAsRange<MapAttr>()) {
    size_t rank = map.getExtents().size();
    if (rank < 2 || rank > 5 || map.getStrides().size() != rank ||
        map.getBox().size() != rank)
      return emitOpError("a tensor map has 2 to 5 extents, strides and box "
                         "extents, got ")
             << map;
    for (size_t i = 1; i < rank; ++i)
      if (map.getStrides()[i] % 16 != 0)
        return emitOpError("a tensor map's stride of ")
               << map.getStrides()[i] << " bytes is not a multiple of 16";
    for (int64_t extent : map.getBox())
      if (extent < 1 || extent > 256)
        return emitOpError("a tensor map's box extent of ")
               << extent << " is not in 1..256";
    int64_t inner =
        map.getBox()[0] * map.getElementType().getIntOrFloatBitWidth() / 8;
    if (inner % 16 != 0 || (map.getSwizzle() && inner > map.getSwizzle()))
      return emitOpError("a tensor map's inner box of ")
             << inner << " bytes is not a multiple of 16 within the swizzle of "
             << map.getSwizzle();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// RolesOp
//===----------------------------------------------------------------------===//

void RolesOp::build(OpBuilder &builder, OperationState &state,
                    int64_t warpgroups, int64_t loadRegisters,
                    int64_t mmaRegisters) {
  state.addAttribute("warpgroups", builder.getI64IntegerAttr(warpgroups));
  state.addAttribute("load_registers",
                     builder.getI64IntegerAttr(loadRegisters));
  state.addAttribute("mma_registers", builder.getI64IntegerAttr(mmaRegisters));
  state.addRegion()->emplaceBlock();
  state.addRegion()->emplaceBlock().addArgument(builder.getI32Type(),
                                                state.location);
}

// sm90.roles attributes {...} load { } mma(%wg) { }
ParseResult RolesOp::parse(OpAsmParser &parser, OperationState &state) {
  OpAsmParser::Argument wg;
  Region *load = state.addRegion(), *mma = state.addRegion();
  if (parser.parseOptionalAttrDictWithKeyword(state.attributes) ||
      parser.parseKeyword("load") || parser.parseRegion(*load) ||
      parser.parseKeyword("mma") || parser.parseLParen() ||
      parser.parseArgument(wg) || parser.parseRParen())
    return failure();
  wg.type = parser.getBuilder().getI32Type();
  if (parser.parseRegion(*mma, wg))
    return failure();
  if (load->empty())
    load->emplaceBlock();
  if (mma->empty())
    mma->emplaceBlock().addArgument(wg.type, state.location);
  return success();
}

void RolesOp::print(OpAsmPrinter &printer) {
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs());
  printer << " load ";
  printer.printRegion(getLoad());
  printer << " mma(" << getMma().getArgument(0) << ") ";
  printer.printRegion(getMma(), /*printEntryBlockArgs=*/false);
}

LogicalResult RolesOp::verify() {
  auto kernel = (*this)->getParentOfType<KernelOp>();
  if (!kernel || (*this)->getParentOp() != kernel)
    return emitOpError("stands directly in a kernel");
  int64_t groups = getWarpgroups();
  if (static_cast<int64_t>(kernel.getThreads()) != 128 * (groups + 1))
    return emitOpError("of ") << groups << " consumer warpgroups needs "
                              << 128 * (groups + 1) << " threads, the kernel has "
                              << kernel.getThreads();
  int64_t total = 0;
  for (auto [count, n] : {std::pair<int64_t, int64_t>(getLoadRegisters(), 1),
                          {getMmaRegisters(), groups}}) {
    if (count != 0 && (count < 24 || count > 256 || count % 8 != 0))
      return emitOpError("registers of a role are 24..256 in steps of 8, not ")
             << count;
    total += count * n * 128;
  }
  if ((getLoadRegisters() == 0) != (getMmaRegisters() == 0))
    return emitOpError("sets the registers of both roles or of none");
  // What ptxas gives each thread at launch, and so what there is to share.
  int64_t cap = 65536 / kernel.getThreads() / 8 * 8;
  if (total > cap * static_cast<int64_t>(kernel.getThreads()))
    return emitOpError("takes ") << total << " registers; the CTA has "
                                 << cap * kernel.getThreads();
  return success();
}

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

LogicalResult SharedOp::verify() {
  int64_t align = getAlign();
  if (static_cast<int64_t>(getBytes()) <= 0 || align <= 0 || align > 1024 ||
      (align & (align - 1)))
    return emitOpError("needs positive bytes and a power of two up to 1024 as "
                       "its alignment");
  return success();
}

LogicalResult TileSliceOp::verify() {
  TileType from = getTile().getType(), to = getResult().getType();
  int64_t row = getRow(), col = getCol();
  if (to.getElementType() != from.getElementType() ||
      to.getPitchRows() != from.getPitchRows())
    return emitOpError("keeps the element type and the pitch of rows");
  if (row % 8 != 0 || row + to.getRows() > from.getRows() ||
      col + to.getCols() > from.getCols())
    return emitOpError("of ") << to.getRows() << "x" << to.getCols()
                              << " from row " << row << ", column " << col
                              << " leaves " << from;
  if (col % from.getChunkCols() != 0)
    return emitOpError("from column ")
           << col << " starts inside a chunk of " << from.getChunkCols();
  return success();
}

LogicalResult TileStoreOp::verify() {
  auto type = cast<VectorType>(getFragment().getType());
  TileType tile = getTile().getType();
  if (!type.getElementType().isBF16() || !tile.getElementType().isBF16())
    return emitOpError("stores bf16");
  if (tile.getRows() != 64 || type.getNumElements() * 2 != tile.getCols() ||
      tile.getCols() % 16 != 0)
    return emitOpError("of ") << type << " fills 64x"
                              << type.getNumElements() * 2 << ", not " << tile;
  return success();
}

//===----------------------------------------------------------------------===//
// Rings and TMA
//===----------------------------------------------------------------------===//

LogicalResult RingOp::verify() {
  if (static_cast<int64_t>(getConsumers()) < 1)
    return emitOpError("needs at least one consuming warp");
  if (!isa<KernelOp>((*this)->getParentOp()))
    return emitOpError("stands directly in a kernel, before its roles");
  return success();
}

template <typename Op> static LogicalResult verifyStageTiles(Op op) {
  RingType ring = op.getRing().getType();
  if (TypeRange(op.getTiles().getTypes()) != TypeRange(ring.getTiles()))
    return op.emitOpError("gives the tiles of its ring ") << ring;
  return success();
}
LogicalResult AcquireOp::verify() { return verifyStageTiles(*this); }
LogicalResult ResumeOp::verify() { return verifyStageTiles(*this); }
LogicalResult AwaitOp::verify() { return verifyStageTiles(*this); }

/// The map that |map| is a parameter for; null if it is none.
static MapAttr mapOf(Operation *op, Value map) {
  auto kernel = op->getParentOfType<KernelOp>();
  auto arg = dyn_cast<BlockArgument>(map);
  if (!kernel || !arg || arg.getOwner() != &kernel.getBodyBlock())
    return {};
  unsigned first =
      arg.getOwner()->getNumArguments() - kernel.getTensorMaps().size();
  if (arg.getArgNumber() < first)
    return {};
  return cast<MapAttr>(kernel.getTensorMaps()[arg.getArgNumber() - first]);
}

static LogicalResult verifyBox(Operation *op, Value map, TileType tile,
                               int64_t rows) {
  MapAttr attr = mapOf(op, map);
  if (!attr)
    return op->emitOpError("takes a tensor map of its kernel");
  int64_t boxRows = 1;
  for (int64_t extent : attr.getBox().drop_front())
    boxRows *= extent;
  if (attr.getElementType() != tile.getElementType() ||
      attr.getSwizzle() != 128 || attr.getBox()[0] != tile.getChunkCols() ||
      boxRows != rows)
    return op->emitOpError("has the box of ")
           << attr << ", which does not fill " << rows << " rows of 128 bytes of "
           << tile;
  return success();
}

LogicalResult TmaLoadOp::verify() {
  TileType tile = getTile().getType();
  if (failed(verifyBox(*this, getMap(), tile, tile.getRows())))
    return failure();
  size_t rank = mapOf(*this, getMap()).getExtents().size();
  if (getCoordinates().size() != rank)
    return emitOpError("has ") << getCoordinates().size()
                               << " coordinates for a map of rank " << rank;
  return success();
}

LogicalResult TmaGatherOp::verify() {
  TileType tile = getTile().getType();
  if (failed(verifyBox(*this, getMap(), tile, 1)))
    return failure();
  int64_t lanesRows = cast<VectorType>(getRows().getType()).getNumElements();
  if (lanesRows != (tile.getRows() + 31) / 32)
    return emitOpError("needs ") << (tile.getRows() + 31) / 32
                                 << " rows a lane, got " << lanesRows;
  if (mapOf(*this, getMap()).getExtents().size() != 2)
    return emitOpError("gathers rows of a map of rank 2");
  return success();
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

int64_t MmaOp::getK() {
  if (getA())
    return getA().getType().getCols();
  return cast<VectorType>(getARegisters().getType()).getNumElements() * 4;
}

LogicalResult MmaOp::verify() {
  TileType b = getB().getType();
  bool fp8 = isa<Float8E4M3FNType>(b.getElementType());
  if (!fp8 && !b.getElementType().isBF16())
    return emitOpError("multiplies bf16 or f8E4M3FN, not ")
           << b.getElementType();
  if (!getA() == !getARegisters())
    return emitOpError("takes a as a tile or as registers");
  if (getA() && (getA().getType().getRows() != 64 ||
                 getA().getType().getElementType() != b.getElementType()))
    return emitOpError("takes 64 rows of b's element type as a, got ")
           << getA().getType();
  if (getARegisters() && fp8)
    return emitOpError("takes a in registers for bf16 only");
  if (getBMn() && fp8)
    return emitOpError("takes f8E4M3FN operands K-major only");
  int64_t n = getN(), k = getK(), kb = getBMn() ? b.getRows() : b.getCols();
  if (k != kb)
    return emitOpError("contracts K of ") << k << " with " << kb;
  if (k % (fp8 ? 32 : 16) != 0)
    return emitOpError("K of ") << k << " is not a multiple of 32 bytes";
  if (n % 8 != 0 || n > 256)
    return emitOpError("has ") << n << " columns, wgmma takes 8..256 in steps "
                                       "of 8";
  if (static_cast<int64_t>(getResult().getType().getRegisters()) != n / 2)
    return emitOpError("of ") << n << " columns gives " << n / 2
                              << " registers, not "
                              << getResult().getType().getRegisters();
  if (getAcc() && getAcc().getType() != getResult().getType())
    return emitOpError("accumulates into the type of its result");
  return success();
}

static bool matches(ValueRange accs, TypeRange values) {
  return accs.size() == values.size() &&
         llvm::all_of(llvm::zip(accs, values), [](auto pair) {
           auto [acc, value] = pair;
           return cast<VectorType>(value).getNumElements() ==
                  cast<AccType>(acc.getType()).getRegisters();
         });
}

LogicalResult MmaFenceOp::verify() {
  if (!matches(getAccumulators(), getValues().getTypes()))
    return emitOpError("turns each fragment into an accumulator of as many "
                       "registers");
  return success();
}

LogicalResult MmaWaitOp::verify() {
  if (!matches(getAccumulators(), getValues().getTypes()))
    return emitOpError("turns each accumulator into a fragment of as many "
                       "registers");
  if (TypeRange(getStill().getTypes()) != TypeRange(getInFlight().getTypes()))
    return emitOpError("passes accumulators that stay in flight through");
  if (!getStill().empty() && getPending() == 0)
    return emitOpError("leaves nothing in flight with pending 0");
  return success();
}

//===----------------------------------------------------------------------===//
// Fragments and synchronisation
//===----------------------------------------------------------------------===//

LogicalResult ShuffleXorOp::verify() {
  Type type = getElementTypeOrSelf(getValue().getType());
  if (!type.isF32() && !type.isInteger(32))
    return emitOpError("exchanges 32-bit values, not ") << type;
  if (getMask() < 1 || getMask() > 31)
    return emitOpError("has a mask of ") << getMask() << ", not 1..31";
  return success();
}

static LogicalResult verifyPairs(Operation *op, Type f32, Type packed) {
  auto a = cast<VectorType>(f32), b = cast<VectorType>(packed);
  if (!b.getElementType().isInteger(16) ||
      a.getNumElements() != 2 * b.getNumElements())
    return op->emitOpError("pairs ") << a << " with i16 of half as many "
                                                "elements, not "
                                     << b;
  return success();
}
LogicalResult ToE4m3Op::verify() {
  return verifyPairs(*this, getSource().getType(), getResult().getType());
}
LogicalResult FromE4m3Op::verify() {
  return verifyPairs(*this, getResult().getType(), getSource().getType());
}

LogicalResult NamedBarrierOp::verify() {
  int64_t id = getId(), threads = getThreads();
  if (id < 1 || id > 15)
    return emitOpError("has id ") << id << ", not 1..15";
  if (threads < 32 || threads % 32 != 0 || threads > 1024)
    return emitOpError("is for a multiple of 32 threads, not ") << threads;
  return success();
}
