#include "compiler/codegen/nvptx/common/WorkItem.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

static Value constant(ImplicitLocOpBuilder &b, int64_t value, unsigned bits) {
  return arith::ConstantOp::create(
      b, b.getIntegerAttr(b.getIntegerType(bits), value));
}

SmallVector<Value> emitCoordinates(ImplicitLocOpBuilder &b, KernelOp kernel,
                                   Value item) {
  SmallVector<Value> coordinates(kernel.getNumDims());
  for (int i = kernel.getNumDims() - 1; i >= 0; --i) {
    DomainDimAttr dim = kernel.getDim(i);
    Value index = item;
    if (i > 0) {
      Value tiles = constant(
          b, llvm::divideCeil(dim.getExtent(), dim.getStep()), 32);
      index = b.createOrFold<arith::RemUIOp>(item, tiles);
      item = b.createOrFold<arith::DivUIOp>(item, tiles);
    }
    index = arith::ExtUIOp::create(b, b.getI64Type(), index);
    coordinates[i] = b.createOrFold<arith::MulIOp>(
        index, constant(b, dim.getStep(), 64));
  }
  return coordinates;
}

Value emitInside(ImplicitLocOpBuilder &b, KernelOp kernel,
                 ArrayRef<Value> coordinates,
                 llvm::function_ref<Value(Value)> sizeAt) {
  auto entry = [&](SizeName name) {
    return sizeAt(constant(b, static_cast<int64_t>(name), 64));
  };
  Value active;
  for (unsigned i = 0; i < kernel.getNumDims(); ++i) {
    DomainDimAttr dim = kernel.getDim(i);
    Value bound;
    switch (dim.getBound()) {
    case Bound::None:
      continue;
    case Bound::Tokens:
      bound = entry(SizeName::Tokens);
      break;
    case Bound::Rows:
      bound = entry(SizeName::Rows);
      break;
    case Bound::LogitRows:
      bound = entry(SizeName::LogitRows);
      break;
    case Bound::ExpertRows: {
      auto begin = [&](int64_t offset) {
        int64_t first = static_cast<int64_t>(SizeName::ExpertBegin) + offset;
        return sizeAt(b.createOrFold<arith::AddIOp>(
            coordinates[dim.getBoundDim()], constant(b, first, 64)));
      };
      Value end = begin(1);
      bound = arith::SubIOp::create(b, end, begin(0));
      break;
    }
    }
    Value inside = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                         coordinates[i], bound);
    active = active ? arith::AndIOp::create(b, active, inside).getResult()
                    : inside;
  }
  return active;
}

bool isConstant(Value view) {
  auto arg = dyn_cast<BlockArgument>(view);
  auto kernel = arg ? dyn_cast<KernelOp>(arg.getOwner()->getParentOp())
                    : KernelOp();
  return kernel && kernel.isConstant(arg.getArgNumber());
}

bool hasOneRowTile(KernelOp kernel) {
  for (unsigned i = 0; i < kernel.getNumDims(); ++i) {
    DomainDimAttr dim = kernel.getDim(i);
    if (dim.getBound() == Bound::None)
      continue;
    int64_t rows = scheduleWord(kernel, "rows", 0);
    if (i != 0 || rows < 1 || rows > dim.getStep() ||
        (dim.getBound() != Bound::Tokens && dim.getBound() != Bound::LogitRows))
      return false;
  }
  return true;
}

int64_t scheduleWord(KernelOp kernel, StringRef key, int64_t otherwise) {
  auto value = kernel.getSchedule().getWords().getAs<IntegerAttr>(key);
  return value ? value.getInt() : otherwise;
}

} // namespace hadal::nvptx
