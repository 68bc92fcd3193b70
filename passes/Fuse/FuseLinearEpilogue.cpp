#include "passes/Fuse/FuseHelpers.h"

namespace hadal {
#define GEN_PASS_DEF_FUSELINEAREPILOGUE
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// |value| if it is a linear without epilogue that only one operation reads.
LinearOp getPlainLinear(Value value) {
  auto linear = value.getDefiningOp<LinearOp>();
  if (!linear || !value.hasOneUse() || linear.getRopeTable() ||
      linear.getResidual() || linear.getBegin())
    return {};
  return linear;
}

struct FuseLinearEpiloguePass
    : hadal::impl::FuseLinearEpilogueBase<FuseLinearEpiloguePass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<RopeOp, AddOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      if (auto rope = dyn_cast<RopeOp>(op))
        fuseRope(rope);
      else
        fuseResidual(cast<AddOp>(op));
    }
  }

  static void replace(Operation *op, LinearOp linear, Value table, Value batch,
                      Value residual, IntegerAttr heads, IntegerAttr rope) {
    OpBuilder b(op);
    Value fused = LinearOp::create(
        b, fuseLoc(getLocalName(linear), "fuse-linear-epilogue", {linear, op}),
        op->getResult(0).getType(), linear.getInput(), linear.getWeight(),
        Value(), Value(), table, batch, residual, heads, rope);
    op->getResult(0).replaceAllUsesWith(fused);
    op->erase();
    linear.erase();
  }

  static void fuseRope(RopeOp op) {
    if (LinearOp linear = getPlainLinear(op.getInput()))
      replace(op, linear, op.getTable(), op.getBatch(), Value(),
              op.getHeadsAttr(), op.getRopeAttr());
  }

  static void fuseResidual(AddOp op) {
    for (auto [value, other] : {std::pair(op.getRhs(), op.getLhs()),
                                std::pair(op.getLhs(), op.getRhs())})
      if (LinearOp linear = getPlainLinear(value))
        return replace(op, linear, Value(), Value(), other, IntegerAttr(),
                       IntegerAttr());
  }
};

} // namespace
