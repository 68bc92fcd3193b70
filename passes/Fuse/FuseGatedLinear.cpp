#include "passes/Fuse/FuseHelpers.h"

namespace hadal {
#define GEN_PASS_DEF_FUSEGATEDLINEAR
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct FuseGatedLinearPass
    : hadal::impl::FuseGatedLinearBase<FuseGatedLinearPass> {
  void runOnOperation() override {
    SmallVector<SiluMulOp> ops;
    getOperation().walk([&](SiluMulOp op) { ops.push_back(op); });
    for (SiluMulOp op : ops)
      if (const char *reason = fuse(op))
        emitRemark(op.getLoc()) << "not fused: " << reason;
  }

  /// Returns why |op| stays, or null.
  static const char *fuse(SiluMulOp op) {
    auto gate = op.getGate().getDefiningOp<LinearOp>();
    auto up = op.getUp().getDefiningOp<LinearOp>();
    if (!gate || !up || gate == up)
      return "gate and up are not two linears";
    if (!gate.getResult().hasOneUse() || !up.getResult().hasOneUse())
      return "gate or up has another reader";
    if (gate.getInput() != up.getInput() || gate.getBegin() != up.getBegin() ||
        gate.getSource() != up.getSource())
      return "gate and up read different rows (is the quantisation shared?)";
    if (gate.getWeight().getType() != up.getWeight().getType())
      return "gate and up have weights of different types";
    for (LinearOp linear : {gate, up})
      if (linear.getRopeTable() || linear.getResidual())
        return "gate or up has an epilogue";

    Type type = op.getResult().getType();
    QuantizeTilesOp quantization = fuse::getQuantization(op.getResult());
    if (quantization && !op.getResult().hasOneUse())
      quantization = {};
    SmallVector<Operation *> parts = {gate, up, op};
    if (quantization)
      parts.push_back(quantization);
    // gate_proj and up_proj become gate_up.
    StringRef name = getLocalName(gate);
    name.consume_back("_proj");
    OpBuilder b(op);
    auto fused = GatedLinearOp::create(
        b, fuseLoc((name + "_up").str(), "fuse-gated-linear", parts),
        quantization ? quantization.getResult().getType() : type,
        gate.getInput(), gate.getWeight(), up.getWeight(), gate.getBegin(),
        gate.getSource(),
        quantization ? quantization.getFloorAttr() : FloatAttr());
    if (quantization) {
      quantization.getResult().replaceAllUsesWith(fused.getResult());
      quantization.erase();
    } else {
      op.getResult().replaceAllUsesWith(fused.getResult());
    }
    op.erase();
    gate.erase();
    up.erase();
    return nullptr;
  }
};

} // namespace
