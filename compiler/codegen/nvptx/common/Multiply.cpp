#include "compiler/codegen/nvptx/common/Multiply.h"

using namespace mlir;

namespace hadal::nvptx {

// The fence ties registers that other instructions defined. Without |acc| there
// are none: the first wgmma ignores what its registers hold (scale-d 0), while
// zeros may be moved there behind the fence, where ptxas serialises wgmma for
// them. The wait ties operand A's registers, which wgmma reads until then.
Value multiplyAndWait(sm90::AsmBuilder &b, Value tile, Value registers,
                      Value operandB, bool bMn, int64_t columns, Value acc) {
  auto accType = sm90::AccType::get(b.getContext(), columns / 2);
  Value inFlight;
  if (acc)
    inFlight = sm90::MmaFenceOp::create(b, TypeRange(accType), ValueRange(acc))
                   .getAccumulators()[0];
  else
    sm90::MmaFenceOp::create(b, TypeRange(), ValueRange());
  Value product =
      sm90::MmaOp::create(b, accType, tile, registers, operandB, inFlight, bMn);
  sm90::MmaCommitOp::create(b);
  auto vector = VectorType::get({columns / 2}, b.getF32Type());
  auto wait = sm90::MmaWaitOp::create(
      b, TypeRange(vector), TypeRange(), ValueRange(product), ValueRange(),
      registers ? ValueRange(registers) : ValueRange(), /*pending=*/0);
  return wait.getValues()[0];
}

} // namespace hadal::nvptx
