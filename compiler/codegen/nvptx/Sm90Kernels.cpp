#include "compiler/codegen/nvptx/Sm90Kernels.h"

#include "cost/Chip.h"
#include "compiler/codegen/nvptx/EmitPtx.h"
#include "compiler/codegen/nvptx/pipeline/Pipeline.h"
#include "compiler/codegen/nvptx/simt/Simt.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

TensorMapInfo toInfo(sm90::MapAttr map) {
  TensorMapInfo info;
  info.slot = map.getSlot();
  info.swizzle = map.getSwizzle();
  info.dataType = map.getElementType().isBF16() ? TensorMapInfo::DataType::bf16
                  : map.getElementType().isF32()
                      ? TensorMapInfo::DataType::f32
                      : TensorMapInfo::DataType::u8;
  for (auto [extent, stride, box] :
       llvm::zip(map.getExtents(), map.getStrides(), map.getBox())) {
    TensorMapDim dim;
    dim.extent = extent < 0 ? -1 : extent;
    dim.extentSlot = extent < 0 ? -1 - extent : 0;
    dim.strideBytes = stride;
    dim.box = box;
    info.dims.push_back(dim);
  }
  return info;
}

/// Lowers |kernel| into |builder|'s module and says how the result is launched.
LogicalResult lower(tile::KernelOp kernel, const Chip &chip, OpBuilder &builder,
                    Sm90Kernel &result) {
  FailureOr<Operation *> lowered = lowerKernel(kernel, chip, builder);
  if (failed(lowered))
    return failure();
  auto pipeline = dyn_cast<sm90::KernelOp>(*lowered);
  if (!pipeline) {
    result.threads =
        (*lowered)->getAttrOfType<IntegerAttr>("hadal.threads").getInt();
    return success();
  }
  result.threads = pipeline.getThreads();
  result.ctasPerItem = pipeline.getCtasPerItem();
  result.persistent = pipeline.getPersistent();
  result.workspaceFixed = pipeline.getWorkspaceFixed();
  result.workspacePerItem = pipeline.getWorkspacePerItem();
  for (auto map : pipeline.getTensorMaps().getAsRange<sm90::MapAttr>())
    result.tensorMaps.push_back(toInfo(map));
  return success();
}

} // namespace

static void loadDialects(MLIRContext *context) {
  context->loadDialect<sm90::Sm90Dialect, LLVM::LLVMDialect,
                       vector::VectorDialect>();
}

FailureOr<KernelWorkspace> planWorkspace(tile::KernelOp kernel,
                                         const Chip &chip) {
  // Where parts of a fold meet is all that a workspace is for.
  auto split = kernel.getSchedule().getWords().getAs<IntegerAttr>("split");
  if (isSimtKernel(kernel) || (split && split.getInt() < 2))
    return KernelWorkspace();
  loadDialects(kernel.getContext());
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  OpBuilder builder(kernel.getContext());
  builder.setInsertionPointToEnd(module->getBody());
  Sm90Kernel result;
  if (failed(lower(kernel, chip, builder, result)))
    return failure();
  return KernelWorkspace{result.workspaceFixed, result.workspacePerItem};
}

FailureOr<Sm90Kernel> compileKernel(tile::KernelOp kernel, const Chip &chip) {
  MLIRContext *context = kernel.getContext();
  loadDialects(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  OpBuilder builder(context);
  builder.setInsertionPointToEnd(module->getBody());
  Sm90Kernel result;
  result.name = kernel.getSymName().str();
  if (failed(lower(kernel, chip, builder, result)))
    return failure();
  FailureOr<std::string> ptx = emitPtx(*module);
  if (failed(ptx))
    return failure();
  auto func = *module->getOps<LLVM::LLVMFuncOp>().begin();
  result.sharedBytes =
      func->getAttrOfType<IntegerAttr>("hadal.shared_bytes").getInt();
  result.ptx = std::move(*ptx);
  result.ptxIsa = kPtxIsa;
  result.driverMinimum = kPtxDriverMinimum;
  return result;
}

} // namespace hadal::nvptx
