#include "frontend/ParameterBuilder.h"
#include "frontend/Error.h"

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

std::string hadal::symbolOf(StringRef tensor) {
  tensor.consume_front("model.");
  tensor.consume_back(".weight");
  return tensor.str();
}

ParameterBuilder::ParameterBuilder(ModuleOp module, const ModelConfig &config,
                                   const Checkpoint *checkpoint, bool roundF32)
    : b(module.getContext()), config(config), checkpoint(checkpoint),
      nameInFile(checkpoint, config.tensorPrefix), roundF32(roundF32) {
  b.setInsertionPointToStart(module.getBody());
}

void ParameterBuilder::fail(llvm::Error e) {
  if (error)
    llvm::consumeError(std::move(e));
  else
    error = std::move(e);
}

Type ParameterBuilder::elementOf(StringRef name, bool quantizable) {
  // Of a stack, expert 0 decides; the others are compared with it later.
  std::string module = name.str();
  if (size_t at = module.find("{e}"); at != std::string::npos)
    module.replace(at, 3, "0");
  std::string tensor = nameInFile(module + ".weight");
  const TensorInfo *info = checkpoint ? checkpoint->find(tensor) : nullptr;
  // Codes of four bits have a tensor of another name, in words of eight.
  static_assert(kInt4Group == kPackedGroup);
  if (quantizable && config.weights == WeightFormat::INT4 && !info &&
      (config.isPacked(module) ||
       (checkpoint && checkpoint->find(nameInFile(module + ".weight_packed")))))
    return b.getIntegerType(4);
  if (info) {
    if (info->dtype == "BF16")
      return b.getBF16Type();
    if (info->dtype == "F32")
      return b.getF32Type();
    if (info->dtype == "F8_E4M3" && quantizable)
      return b.getType<Float8E4M3FNType>();
    if (!error)
      error = makeError(1010, "{0}: tensor '{1}' has dtype {2}, expected {3}",
                        info->file, tensor, info->dtype,
                        quantizable ? "BF16, F32 or F8_E4M3" : "BF16 or F32");
  }
  switch (config.weights) {
  case WeightFormat::F32:
    return b.getF32Type();
  case WeightFormat::BF16:
  case WeightFormat::INT4:
    return b.getBF16Type();
  case WeightFormat::FP8:
    break;
  }
  return quantizable ? Type(b.getType<Float8E4M3FNType>())
                     : Type(b.getBF16Type());
}

ParameterOp ParameterBuilder::declare(StringRef symbol, StringRef scaleSymbol,
                                      ArrayRef<int64_t> shape, Type element,
                                      Storage storage,
                                      ArrayRef<std::string> names,
                                      ArrayRef<int64_t> rows,
                                      ValueCheck check) {
  MLIRContext *ctx = b.getContext();
  auto partsOf = [&](StringRef suffix) {
    SmallVector<Attribute> parts;
    for (const std::string &name : names)
      parts.push_back(b.getStringAttr(nameInFile((name + suffix).str())));
    return b.getArrayAttr(parts);
  };
  auto layoutOf = [&](ScaleAttr scale) -> Attribute {
    if (storage == Storage::Whole && !scale)
      return {};
    return LayoutAttr::get(ctx, {}, storage, scale);
  };
  Location loc = NameLoc::get(b.getStringAttr(symbol));
  if (element.isInteger(4))
    return declarePacked(symbol, scaleSymbol, shape, storage, names, rows);
  FlatSymbolRefAttr scaleRef;
  ScaleAttr scale;
  if (isa<Float8E4M3FNType>(element)) {
    // Weight scales are float32 multipliers; the values of a ue8m0 checkpoint
    // are powers of two, which needs no other treatment.
    scale =
        ScaleAttr::get(ctx, kBlock, kBlock, ScaleFormat::F32, ScaleMajor::K);
    RankedTensorType type =
        RankedTensorType::get(shape, element, layoutOf(scale));
    SmallVector<int64_t> scaleRows;
    for (int64_t r : rows)
      scaleRows.push_back((r + kBlock - 1) / kBlock);
    // Whatever the storage of the codes, scales are small and are copied into
    // one array.
    Type accepts[] = {b.getF32Type(), b.getBF16Type(),
                      b.getType<Float8E8M0FNUType>()};
    auto op = ParameterOp::create(
        b, NameLoc::get(b.getStringAttr(scaleSymbol)), scaleSymbol,
        RankedTensorType::get(getScaleShape(type), b.getF32Type(),
                              layoutOf(ScaleAttr())),
        partsOf(".weight_scale_inv"), scaleRows, b.getTypeArrayAttr(accepts),
        Placement::Copy, ValueCheck::NonNegative, FlatSymbolRefAttr());
    scaleRef = FlatSymbolRefAttr::get(op.getSymNameAttr());
  }
  bool isRounded = roundF32 && element.isF32();
  Type read = isRounded ? Type(b.getBF16Type()) : element;
  return ParameterOp::create(
      b, loc, symbol, RankedTensorType::get(shape, read, layoutOf(scale)),
      partsOf(".weight"), rows, b.getTypeArrayAttr(element),
      isRounded ? Placement::Copy : Placement::Map, check, scaleRef);
}

ParameterOp ParameterBuilder::declarePacked(
    StringRef symbol, StringRef scaleSymbol, ArrayRef<int64_t> shape,
    Storage storage, ArrayRef<std::string> names, ArrayRef<int64_t> rows) {
  if (shape.back() % kInt4Group != 0)
    fail(makeError(1005,
                   "'{0}' has {1} columns, which are no whole groups of {2}: "
                   "its codes of four bits are not supported",
                   names.front(), shape.back(), kInt4Group));
  MLIRContext *ctx = b.getContext();
  auto partsOf = [&](StringRef suffix) {
    SmallVector<Attribute> parts;
    for (const std::string &name : names)
      parts.push_back(b.getStringAttr(nameInFile((name + suffix).str())));
    return b.getArrayAttr(parts);
  };
  // A ninth of the bytes: mapped as the codes are, one table or array of each.
  auto scale = ScaleAttr::get(ctx, 1, kInt4Group, ScaleFormat::BF16,
                              ScaleMajor::K);
  Type codes = b.getIntegerType(4);
  auto type = RankedTensorType::get(
      shape, codes, LayoutAttr::get(ctx, {}, storage, scale));
  Attribute scaleLayout;
  if (storage != Storage::Whole)
    scaleLayout = LayoutAttr::get(ctx, {}, storage, ScaleAttr());
  auto scales = ParameterOp::create(
      b, NameLoc::get(b.getStringAttr(scaleSymbol)), scaleSymbol,
      RankedTensorType::get(getScaleShape(type), b.getBF16Type(), scaleLayout),
      partsOf(".weight_scale"), rows, b.getTypeArrayAttr(b.getBF16Type()),
      Placement::Map, ValueCheck::None, FlatSymbolRefAttr());
  return ParameterOp::create(
      b, NameLoc::get(b.getStringAttr(symbol)), symbol, type,
      partsOf(".weight_packed"), rows, b.getTypeArrayAttr(codes),
      Placement::Map, ValueCheck::None,
      FlatSymbolRefAttr::get(scales.getSymNameAttr()));
}

ParameterOp ParameterBuilder::matrix(StringRef name, int64_t rows,
                                     int64_t columns, bool quantizable,
                                     ValueCheck check) {
  std::string symbol = symbolOf(name);
  return declare(symbol, symbol + ".scale", {rows, columns},
                 elementOf(name, quantizable), Storage::Whole, name.str(), {},
                 check);
}

ParameterOp ParameterBuilder::stack(StringRef symbol, StringRef pattern,
                                    int64_t count, int64_t rows,
                                    int64_t columns) {
  return declare(symbol, symbol.str() + ".scale", {count, rows, columns},
                 elementOf(pattern), Storage::Stack, pattern.str(), {});
}

ParameterOp ParameterBuilder::segments(StringRef symbol,
                                       ArrayRef<std::string> names,
                                       ArrayRef<int64_t> rows,
                                       int64_t columns) {
  int64_t sum = 0;
  for (int64_t r : rows)
    sum += r;
  return declare(symbol, symbol.str() + ".scale", {sum, columns},
                 elementOf(names.front()), Storage::Segments, names, rows);
}

ParameterOp ParameterBuilder::vector(StringRef tensor, int64_t size) {
  std::string symbol = symbolOf(tensor);
  Type accepts[] = {b.getF32Type(), b.getBF16Type()};
  return ParameterOp::create(b, NameLoc::get(b.getStringAttr(symbol)), symbol,
                             RankedTensorType::get(size, b.getF32Type()),
                             b.getStrArrayAttr(StringRef(nameInFile(tensor))),
                             ArrayRef<int64_t>(), b.getTypeArrayAttr(accepts),
                             Placement::Copy, ValueCheck::Finite,
                             FlatSymbolRefAttr());
}

void ParameterBuilder::addCopy(ParameterOp parameter, StringRef tensor) {
  SmallVector<Attribute> copies;
  if (ArrayAttr known = parameter.getCopiesAttr())
    llvm::append_range(copies, known);
  copies.push_back(b.getStringAttr(nameInFile(tensor)));
  parameter.setCopiesAttr(b.getArrayAttr(copies));
}
