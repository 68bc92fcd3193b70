// Which lowering serves a kernel: by its body, and by its kind where one was
// written for that.
#include "compiler/codegen/nvptx/pipeline/Pipeline.h"

#include "compiler/codegen/nvptx/attention/KernelLowering.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"
#include "compiler/codegen/nvptx/simt/Simt.h"

using namespace mlir;

namespace hadal::nvptx {

template <typename Op>
static FailureOr<Operation *> toOperation(FailureOr<Op> lowered) {
  if (failed(lowered))
    return failure();
  return lowered->getOperation();
}

FailureOr<Operation *> lowerKernel(tile::KernelOp kernel, const Chip &chip,
                                   OpBuilder &builder) {
  OpBuilder::InsertionGuard guard(builder);
  if (isSimtKernel(kernel))
    return toOperation(lowerSimt(kernel, builder));
  if (const KernelLowering *special = findKernelLowering(kernel))
    return toOperation(lowerSpecialised(*special, kernel, chip, builder));
  return toOperation(PipelineEmitter(kernel, chip).emit(builder));
}

} // namespace hadal::nvptx
