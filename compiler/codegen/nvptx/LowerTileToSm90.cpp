#include "schedule/Chip.h"
#include "compiler/codegen/nvptx/EmitPtx.h"
#include "compiler/codegen/nvptx/pipeline/Pipeline.h"
#include "compiler/codegen/nvptx/simt/Simt.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

class LowerTileToSm90
    : public PassWrapper<LowerTileToSm90, OperationPass<ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerTileToSm90)
  explicit LowerTileToSm90(const Chip &chip = allChips().front())
      : chip(chip) {}

  StringRef getArgument() const override { return "hadal-lower-tile-to-sm90"; }
  StringRef getDescription() const override {
    return "Lower tile kernels to sm90 kernels, those without a contraction to "
           "functions";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<sm90::Sm90Dialect, LLVM::LLVMDialect, arith::ArithDialect,
                    scf::SCFDialect, vector::VectorDialect,
                    math::MathDialect>();
  }

  void runOnOperation() override {
    for (tile::KernelOp kernel :
         llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>())) {
      OpBuilder builder(kernel);
      LogicalResult lowered =
          isSimtKernel(kernel)
              ? LogicalResult(lowerSimt(kernel, builder))
              : LogicalResult(lowerPipeline(kernel, chip, builder));
      if (failed(lowered))
        return signalPassFailure();
      kernel.erase();
    }
  }

private:
  const Chip &chip;
};

} // namespace

std::unique_ptr<Pass> createLowerTileToSm90Pass(const Chip &chip) {
  return std::make_unique<LowerTileToSm90>(chip);
}

void registerLowerTileToSm90Pass() { PassRegistration<LowerTileToSm90>(); }

} // namespace hadal::nvptx
