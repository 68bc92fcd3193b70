#include "passes/Identity/Names.h"
#include "passes/Quantize/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_ELIDEREQUANTIZE
#include "passes/Quantize/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct ElideRequantizePass
    : hadal::impl::ElideRequantizeBase<ElideRequantizePass> {
  void runOnOperation() override {
    // Per block: what precedes in a block dominates what follows.
    getOperation().walk([](Block *block) {
      llvm::DenseMap<Value, SmallVector<QuantizeTilesOp, 1>> seen;
      for (auto op :
           llvm::make_early_inc_range(block->getOps<QuantizeTilesOp>())) {
        auto &earlier = seen[op.getInput()];
        auto *same = llvm::find_if(earlier, [&](QuantizeTilesOp e) {
          return e.getFloorAttr() == op.getFloorAttr() &&
                 e.getResult().getType() == op.getResult().getType();
        });
        if (same == earlier.end()) {
          earlier.push_back(op);
          continue;
        }
        op.getResult().replaceAllUsesWith(same->getResult());
        absorbLoc(*same, "elide-requantize", op);
        op.erase();
      }
    });
  }
};

} // namespace
