#include "compiler/codegen/nvptx/pipeline/Pipeline.h"

#include "compiler/codegen/nvptx/attention/KernelLowering.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

namespace hadal::nvptx {

mlir::FailureOr<sm90::KernelOp> lowerPipeline(tile::KernelOp kernel,
                                              const Chip &chip,
                                              mlir::OpBuilder &builder) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  if (const KernelLowering *special = findKernelLowering(kernel))
    return lowerSpecialised(*special, kernel, chip, builder);
  mlir::FailureOr<sm90::KernelOp> lowered =
      PipelineEmitter(kernel, chip).emit(builder);
  if (mlir::failed(lowered))
    return mlir::failure();
  return lowered;
}

} // namespace hadal::nvptx
