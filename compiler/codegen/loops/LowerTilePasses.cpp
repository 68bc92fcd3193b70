// The pass --hadal-lower-tile-to-loops and the way from loops to LLVM.
#include "compiler/codegen/loops/TileToLoops.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace hadal {
#define GEN_PASS_DECL_LOWERTILETOLOOPS
#define GEN_PASS_DEF_LOWERTILETOLOOPS
#include "compiler/codegen/loops/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

class LowerTileToLoops
    : public hadal::impl::LowerTileToLoopsBase<LowerTileToLoops> {
public:
  using LowerTileToLoopsBase::LowerTileToLoopsBase;
  LowerTileToLoops() = default;
  explicit LowerTileToLoops(TileToLoopsOptions given) : given(given) {
    f64 = given.f64;
  }

  void runOnOperation() override {
    TileToLoopsOptions options = given;
    options.f64 = f64;
    SmallVector<tile::KernelOp> kernels(
        getOperation().getOps<tile::KernelOp>());
    for (tile::KernelOp kernel : kernels)
      if (failed(lowerTileKernelToLoops(kernel, options)))
        return signalPassFailure();
  }

private:
  TileToLoopsOptions given;
};

} // namespace

FailureOr<func::FuncOp>
hadal::lowerTileKernelToLoops(tile::KernelOp kernel,
                              const TileToLoopsOptions &options) {
  return TileLowering(kernel, options).run();
}

std::unique_ptr<Pass>
hadal::createLowerTileToLoopsPass(TileToLoopsOptions options) {
  return std::make_unique<LowerTileToLoops>(std::move(options));
}

void hadal::buildTileToLLVMDialectPipeline(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createLoopInvariantCodeMotionPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void hadal::registerLowerTilePasses() {
  PassRegistration<LowerTileToLoops>();
  PassPipelineRegistration<>(
      "hadal-tile-to-llvm-dialect",
      "Lower the loops of tile kernels to the LLVM dialect",
      [](OpPassManager &pm) { buildTileToLLVMDialectPipeline(pm); });
}
