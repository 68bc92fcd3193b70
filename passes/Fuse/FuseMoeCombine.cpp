#include "passes/Fuse/FuseHelpers.h"

namespace hadal {
#define GEN_PASS_DEF_FUSEMOECOMBINE
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct FuseMoeCombinePass
    : hadal::impl::FuseMoeCombineBase<FuseMoeCombinePass> {
  void runOnOperation() override {
    SmallVector<MoeCombineOp> ops;
    getOperation().walk([&](MoeCombineOp op) { ops.push_back(op); });
    for (MoeCombineOp op : ops)
      fuse(op);
  }

  /// The add that is the only reader of |value|; |other| is its other operand.
  static AddOp getSoleAdd(Value value, Value &other) {
    if (!value.hasOneUse())
      return {};
    auto add = dyn_cast<AddOp>(*value.getUsers().begin());
    if (add)
      other = add.getLhs() == value ? add.getRhs() : add.getLhs();
    return add;
  }

  static void fuse(MoeCombineOp op) {
    Value first, second;
    AddOp inner = getSoleAdd(op.getResult(), first);
    if (!inner || op.getShared() || op.getResidual())
      return;
    AddOp outer = getSoleAdd(inner.getResult(), second);
    AddOp last = outer ? outer : inner;
    // One add: the residual. Two: the residual is a function argument or a
    // sum on its own stream, the shared expert a linear.
    Value shared, residual = first;
    if (outer) {
      bool innerIsShared = first.getDefiningOp<LinearOp>() != nullptr;
      shared = innerIsShared ? first : second;
      residual = innerIsShared ? second : first;
    }
    SmallVector<Operation *> parts = {op, inner};
    if (outer)
      parts.push_back(outer);
    OpBuilder b(last);
    Value fused = MoeCombineOp::create(
        b, fuseLoc(getLocalName(op), "fuse-moe-combine", parts),
        op.getResult().getType(), op.getRows(), op.getPlace(), op.getWeights(),
        shared, residual);
    last.getResult().replaceAllUsesWith(fused);
    if (outer)
      outer.erase();
    inner.erase();
    op.erase();
  }
};

} // namespace
