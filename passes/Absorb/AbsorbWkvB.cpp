#include "passes/Absorb/Passes.h"
#include "passes/Identity/Names.h"
#include "llvm/Support/FormatVariadic.h"

namespace hadal {
#define GEN_PASS_DEF_ABSORBWKVB
#include "passes/Absorb/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct AbsorbWkvBPass : hadal::impl::AbsorbWkvBBase<AbsorbWkvBPass> {
  void runOnOperation() override {
    SmallVector<MlaOp> ops;
    getOperation().walk([&](MlaOp op) { ops.push_back(op); });
    for (MlaOp op : ops)
      materialize(op);
  }

  /// True if each head's W_UK and W_UV are whole scale blocks of an FP8 wkv_b.
  /// Says so, or why not.
  static bool proveWholeBlocks(MlaOp op) {
    if (!isFP8(op.getWkvB().getType()))
      return false;
    uint64_t nope = op.getNope(), value = op.getValue();
    bool whole = nope % kBlock == 0 && value % kBlock == 0;
    const char *text =
        whole ? "W_UK ({0} rows) and W_UV ({1} rows) of each of {2} heads are "
                "whole 128x128 scale blocks of wkv_b: the split is lossless"
              : "W_UK ({0} rows) and W_UV ({1} rows) of each of {2} heads are "
                "not multiples of 128: a scale block spans both, so the scale "
                "is looked up at the absolute row and column of wkv_b";
    recordChoice(op, llvm::formatv(text, nope, value, op.getHeads()).str());
    return whole;
  }

  void materialize(MlaOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    CacheType cache = op.getCache().getType();
    int64_t heads = op.getHeads(), nope = op.getNope(), value = op.getValue();
    int64_t latent = cache.getLatent(), rope = cache.getRope();
    bool whole = proveWholeBlocks(op);
    auto type = cast<RankedTensorType>(op.getResult().getType());

    // Per query row and key, over all heads; two flops per product (2.6).
    int64_t absorbed = 2 * heads * (latent + rope + latent);
    int64_t expanded = 2 * heads * (nope + rope + value);
    int64_t expansion = 2 * heads * latent * (nope + value);
    auto forms =
        AttentionFormsOp::create(b, loc, type, absorbed, expanded, expansion);

    b.setInsertionPointToStart(&forms.getAbsorbed().emplaceBlock());
    Value q = AbsorbQOp::create(
        b, splitLoc(op, "absorb_q"), withColumns(type, heads * (latent + rope)),
        op.getQuery(), op.getWkvB(), heads, nope, value, whole);
    Value o = MlaDecodeOp::create(
        b, splitLoc(op, "decode"), withColumns(type, heads * latent), q,
        op.getCache(), op.getBatch(), heads, op.getScale());
    o = AbsorbVOp::create(b, splitLoc(op, "absorb_v"), type, o, op.getWkvB(),
                          heads, nope, value, whole, /*floor=*/FloatAttr());
    YieldOp::create(b, loc, o);

    b.setInsertionPointToStart(&forms.getExpanded().emplaceBlock());
    o = MlaPrefillOp::create(b, loc, type, op.getQuery(), op.getWkvB(),
                             op.getCache(), op.getBatch(), op.getHeadsAttr(),
                             op.getNopeAttr(), op.getValueAttr(),
                             op.getScaleAttr(), ScaleFormatAttr(),
                             /*floor=*/FloatAttr());
    YieldOp::create(b, loc, o);
    op.getResult().replaceAllUsesWith(forms.getResult());
    op.erase();
  }
};

} // namespace
