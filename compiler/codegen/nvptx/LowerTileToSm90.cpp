#include "compiler/codegen/nvptx/Passes.h"
#include "compiler/codegen/nvptx/pipeline/Pipeline.h"
#include "cost/Chip.h"

using namespace mlir;

namespace hadal::nvptx {

#define GEN_PASS_DEF_LOWERTILETOSM90
#include "compiler/codegen/nvptx/Passes.h.inc"

namespace {

class LowerTileToSm90 : public impl::LowerTileToSm90Base<LowerTileToSm90> {
public:
  using LowerTileToSm90Base::LowerTileToSm90Base;

  void runOnOperation() override {
    const Chip *target = findChip(chip.getValue());
    if (!target) {
      InFlightDiagnostic error = getOperation().emitError("there is no chip '");
      error << chip << "', only";
      for (const Chip &known : allChips())
        error << " " << StringRef(known.name);
      return signalPassFailure();
    }
    for (tile::KernelOp kernel :
         llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>())) {
      OpBuilder builder(kernel);
      if (failed(lowerKernel(kernel, *target, builder)))
        return signalPassFailure();
      kernel.erase();
    }
  }
};

} // namespace
} // namespace hadal::nvptx
