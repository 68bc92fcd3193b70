#include "compiler/target/nvptx/EmitPtx.h"
#include "compiler/target/nvptx/Lower/Simt.h"
#include "compiler/target/nvptx/Sm90Emitter.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

class LowerTileToSm90
    : public PassWrapper<LowerTileToSm90, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerTileToSm90)

  StringRef getArgument() const override { return "hadal-lower-tile-to-sm90"; }
  StringRef getDescription() const override {
    return "Lower tile kernels to sm_90a functions (wgmma, cp.async)";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<LLVM::LLVMDialect, arith::ArithDialect, scf::SCFDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<tile::KernelOp> kernels(module.getOps<tile::KernelOp>());
    for (tile::KernelOp kernel : kernels) {
      OpBuilder builder(kernel);
      if (isSimtKernel(kernel)) {
        FailureOr<SimtFunction> simt = lowerSimt(kernel, builder);
        if (failed(simt))
          return signalPassFailure();
        simt->func->setAttr("hadal.shared_bytes",
                            builder.getI64IntegerAttr(simt->sharedBytes));
        simt->func->setAttr("hadal.threads",
                            builder.getI64IntegerAttr(simt->threads));
        kernel.erase();
        continue;
      }
      Sm90Emitter emitter(kernel);
      if (failed(emitter.emit(builder)))
        return signalPassFailure();
      kernel.erase();
    }
  }
};

} // namespace

std::unique_ptr<Pass> createLowerTileToSm90Pass() {
  return std::make_unique<LowerTileToSm90>();
}

void registerLowerTileToSm90Pass() { PassRegistration<LowerTileToSm90>(); }

} // namespace hadal::nvptx
