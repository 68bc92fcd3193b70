#include "mlir/IR/Dominance.h"
#include "passes/Fuse/FuseHelpers.h"

namespace hadal {
#define GEN_PASS_DEF_FUSENORMQUANT
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct FuseNormQuantPass : hadal::impl::FuseNormQuantBase<FuseNormQuantPass> {
  void runOnOperation() override {
    SmallVector<RmsNormOp> ops;
    getOperation().walk([&](RmsNormOp op) { ops.push_back(op); });
    DominanceInfo dominance(getOperation());
    for (RmsNormOp op : ops)
      fuse(op, dominance);
  }

  static void fuse(RmsNormOp op, DominanceInfo &dominance) {
    OpBuilder b(op);
    Value input = op.getInput(), addend, indices;
    auto add = input.getDefiningOp<AddOp>();
    auto gather = input.getDefiningOp<GatherRowsOp>();
    // The sum becomes a result of the fused operation, which stands where the
    // norm does: every other reader of the sum must come after it.
    if (add && !llvm::all_of(add.getResult().getUsers(), [&](Operation *user) {
          return user == op ||
                 dominance.properlyDominates(op.getOperation(), user);
        }))
      add = {};
    if (add) {
      input = add.getLhs();
      addend = add.getRhs();
    } else if (gather && gather.getResult().hasOneUse()) {
      input = gather.getInput();
      indices = gather.getIndices();
    } else {
      gather = {};
    }
    fuse::NormUses uses(op.getResult());
    SmallVector<Operation *> parts = {op};
    if (add)
      parts.push_back(add);
    if (gather)
      parts.push_back(gather);
    if (uses.quantization)
      parts.push_back(uses.quantization);
    auto fused = NormQuantOp::create(
        b, fuseLoc(getLocalName(op), "fuse-norm-quant", parts),
        add ? add.getResult().getType() : Type(), uses.normType(op.getResult()),
        uses.quantizedType(), input, addend, indices, op.getWeight(),
        op.getEpsAttr(), uses.floor());
    if (uses.quantization) {
      uses.quantization.getResult().replaceAllUsesWith(fused.getQuantized());
      uses.quantization.erase();
    }
    if (uses.keepNorm)
      op.getResult().replaceAllUsesWith(fused.getNorm());
    op.erase();
    if (add) {
      add.getResult().replaceAllUsesWith(fused.getSum());
      add.erase();
    } else if (gather) {
      gather.erase();
    }
  }
};

} // namespace
