#include "compiler/codegen/nvptx/common/WorkItem.h"

#include "dialects/Diagnostics.h"
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
    case Bound::Rows:
    case Bound::LogitRows:
    case Bound::Slice:
      bound = entry(sizeNameOf(dim.getBound()));
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

LogicalResult refuseOtherWords(KernelOp kernel, ArrayRef<StringRef> known) {
  for (NamedAttribute word : kernel.getSchedule().getWords()) {
    if (llvm::is_contained(known, word.getName().strref()))
      continue;
    InFlightDiagnostic error = emitCodedError(kernel, 3008);
    error << "its sm_90a lowering knows no word '" << word.getName().strref() << "', only ";
    llvm::interleaveComma(known, error);
    return error;
  }
  return success();
}

FailureOr<RoleRegisters> readRegisters(KernelOp kernel, int64_t warpgroups) {
  FailureOr<StringRef> word = kernel.getWordText("regs");
  if (failed(word))
    return failure();
  RoleRegisters registers;
  if (*word == "launch")
    return registers;
  auto [load, mma] = word->split('/');
  auto inRange = [](StringRef text, int64_t &number) {
    return !text.getAsInteger(10, number) && number >= 24 && number <= 256 &&
           number % 8 == 0;
  };
  // What ptxas gives each thread at launch.
  int64_t have = 65536 / (128 * (warpgroups + 1)) / 8 * 8 * (warpgroups + 1);
  if (inRange(load, registers.load) && inRange(mma, registers.mma) &&
      registers.load + warpgroups * registers.mma <= have)
    return registers;
  kernel.emitOpError("has no sm_90a lowering with the word 'regs' of ")
      << *word << ": it takes launch, or LOAD/MMA in steps of 8 from 24 with "
      << "LOAD + " << warpgroups << " MMA of at most " << have;
  return failure();
}

} // namespace hadal::nvptx
