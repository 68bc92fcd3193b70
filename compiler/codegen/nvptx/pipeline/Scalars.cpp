// Uniform scalars, and ops applied to scalars or registers.
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

Value PipelineEmitter::sizeAt(Value index) {
  sm90::AsmBuilder &b = *builder;
  Value value = loadGlobal(b.getI32Type(),
                           byteOffset(sizes, b.mul(index, b.i64(4))));
  return arith::ExtUIOp::create(b, b.getI64Type(), value);
}

Value PipelineEmitter::scalar(Value value, Scalars &local) {
  if (Value known = local.lookup(value))
    return known;
  // What depends on a value that |local| replaces is computed again.
  std::function<bool(Value)> replaced = [&](Value v) {
    if (local.count(v))
      return true;
    Operation *op = v.getDefiningOp();
    return op && llvm::any_of(op->getOperands(), replaced);
  };
  if (Value known = scalars.lookup(value))
    if (&local == &scalars || !replaced(value))
      return known;
  sm90::AsmBuilder &b = *builder;
  Operation *op = value.getDefiningOp();
  assert(op && "a uniform scalar is a coordinate, an argument or computed");
  Value result;
  if (auto size = dyn_cast<SizeOp>(op)) {
    Value index = b.i64(static_cast<int64_t>(size.getName()));
    if (size.getIndex())
      index = b.add(index, scalar(size.getIndex(), local));
    result = sizeAt(index);
  } else if (auto read = dyn_cast<ReadOp>(op)) {
    const ViewRef &view = *views.find(read.getView())->second;
    Value linear;
    for (auto [i, index] : llvm::enumerate(read.getIndices())) {
      Value at = scalar(index, local);
      linear = linear ? b.add(b.mul(linear, view.extents[i]), at) : at;
    }
    Type type = view.type.getElementType();
    int64_t bytes = type.getIntOrFloatBitWidth() / 8;
    result = loadGlobal(type,
                        byteOffset(view.data, b.mul(linear, b.i64(bytes))));
    if (bytes != 8)
      result = arith::ExtSIOp::create(b, b.getI64Type(), result);
  } else if (auto dim = dyn_cast<DimOp>(op)) {
    result = views.find(dim.getView())->second->extents[dim.getDim()];
  } else if (auto cast = dyn_cast<arith::IndexCastOp>(op)) {
    result = scalar(cast.getIn(), local);
    unsigned from = result.getType().getIntOrFloatBitWidth();
    unsigned to = cast.getType().isIndex()
                      ? 64
                      : cast.getType().getIntOrFloatBitWidth();
    if (to > from)
      result = arith::ExtSIOp::create(b, b.getIntegerType(to), result);
    if (to < from)
      result = arith::TruncIOp::create(b, b.getIntegerType(to), result);
  } else {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(scalar(operand, local));
    result = apply(op, operands, 0);
  }
  local[value] = result;
  return result;
}

Value PipelineEmitter::apply(Operation *op, ArrayRef<Value> operands,
                             int64_t count) {
  sm90::AsmBuilder &b = *builder;
  Type type = getElementTypeOrSelf(op->getResult(0).getType());
  if (type.isIndex())
    type = b.getI64Type();
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Attribute value = constant.getValue();
    if (auto dense = dyn_cast<DenseElementsAttr>(value))
      value = dense.getSplatValue<Attribute>();
    if (auto integer = dyn_cast<IntegerAttr>(value))
      return arith::ConstantOp::create(
          b, b.getIntegerAttr(type, integer.getValue().getSExtValue()));
    return arith::ConstantOp::create(b, cast<TypedAttr>(value));
  }
  if (count)
    type = VectorType::get({count}, type);
  OperationState state(b.getLoc(), op->getName());
  state.addOperands(operands);
  state.addTypes(type);
  state.addAttributes(op->getAttrs());
  return b.create(state)->getResult(0);
}

} // namespace hadal::nvptx
