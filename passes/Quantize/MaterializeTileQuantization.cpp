#include "dialects/Diagnostics.h"
#include "passes/Identity/Names.h"
#include "passes/Quantize/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_MATERIALIZETILEQUANTIZATION
#include "passes/Quantize/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

/// Smallest amax of a group (model-spec 3.4).
static constexpr double kAmaxFloor = 1e-4;

namespace {

struct MaterializeTileQuantizationPass
    : hadal::impl::MaterializeTileQuantizationBase<
          MaterializeTileQuantizationPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (fp8 != "w8a8" && fp8 != "w8a16") {
      emitCodedError(module, 2002)
          << "fp8 must be w8a8 or w8a16, got '" << fp8 << "'";
      return signalPassFailure();
    }
    if (fp8 == "w8a16")
      return;
    ScaleFormat format = ScaleFormat::F32;
    if (auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr))
      if (auto name = model.getAs<StringAttr>("activation_scale_format"))
        if (name == "ue8m0")
          format = ScaleFormat::UE8M0;
    module.walk([&](Operation *op) {
      if (auto linear = dyn_cast<LinearOp>(op))
        quantizeInput(linear, format);
      else if (auto attention = dyn_cast<MlaPrefillOp>(op))
        quantizeLatent(attention, format);
    });
  }

  static void quantizeInput(LinearOp op, ScaleFormat format) {
    auto type = cast<RankedTensorType>(op.getInput().getType());
    if (!isFP8(op.getWeight().getType()) || isFP8(type))
      return;
    OpBuilder b(op);
    Value quantized = QuantizeTilesOp::create(
        b, splitLoc(op, "quantize"), getQuantizedType(type, format),
        op.getInput(), llvm::APFloat(kAmaxFloor));
    op.getInputMutable().assign(quantized);
  }

  static void quantizeLatent(MlaPrefillOp op, ScaleFormat format) {
    if (!isFP8(op.getWkvB().getType()))
      return;
    op.setQuantizeLatent(format);
    op.setFloor(llvm::APFloat(kAmaxFloor));
  }
};

} // namespace
