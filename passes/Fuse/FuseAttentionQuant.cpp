#include "passes/Fuse/FuseHelpers.h"

namespace hadal {
#define GEN_PASS_DEF_FUSEATTENTIONQUANT
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct FuseAttentionQuantPass
    : hadal::impl::FuseAttentionQuantBase<FuseAttentionQuantPass> {
  void runOnOperation() override {
    // Collected first: fusing erases the operation behind the one at hand.
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<AbsorbVOp, MlaPrefillOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      if (auto absorb = dyn_cast<AbsorbVOp>(op))
        fuse(absorb);
      else
        fuse(cast<MlaPrefillOp>(op));
    }
  }

  template <typename OpT> static void fuse(OpT op) {
    QuantizeTilesOp quantization = fuse::getQuantization(op.getResult());
    if (!quantization || !op.getResult().hasOneUse() ||
        op.getValue() % kBlock != 0)
      return;
    // One floor serves both quantisations of mla_prefill.
    if (op.getFloorAttr() && op.getFloorAttr() != quantization.getFloorAttr())
      return;
    op.setFloorAttr(quantization.getFloorAttr());
    op.getResult().setType(
        cast<RankedTensorType>(quantization.getResult().getType()));
    quantization.getResult().replaceAllUsesWith(op.getResult());
    absorbLoc(op, "fuse-attention-quant", quantization);
    quantization.erase();
  }
};

} // namespace
