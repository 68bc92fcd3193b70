#include "compiler/target/nvptx/Lower/Pipeline.h"

#include "compiler/target/nvptx/Lower/PipelineEmitter.h"

namespace hadal::nvptx {

mlir::FailureOr<sm90::KernelOp> lowerPipeline(tile::KernelOp kernel,
                                              const Chip &chip,
                                              mlir::OpBuilder &builder) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  mlir::FailureOr<sm90::KernelOp> lowered =
      PipelineEmitter(kernel, chip).emit(builder);
  if (mlir::failed(lowered))
    return mlir::failure();
  return lowered;
}

} // namespace hadal::nvptx
