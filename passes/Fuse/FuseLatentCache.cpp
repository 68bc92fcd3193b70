#include "passes/Fuse/FuseHelpers.h"

namespace hadal {
#define GEN_PASS_DEF_FUSELATENTCACHE
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

/// The operations around one append_latent.
struct LatentGroup {
  RmsNormOp kvNorm;
  SliceOp latent, kPe;
  RopeOp rope;
  // Of the query, absent where it has a GEMM of its own.
  SliceOp query;
  RmsNormOp queryNorm;
};

struct FuseLatentCachePass
    : hadal::impl::FuseLatentCacheBase<FuseLatentCachePass> {
  void runOnOperation() override {
    SmallVector<AppendLatentOp> ops;
    getOperation().walk([&](AppendLatentOp op) { ops.push_back(op); });
    for (AppendLatentOp op : ops) {
      LatentGroup group;
      if (const char *reason = match(op, group))
        emitRemark(op.getLoc()) << "not fused: " << reason;
      else
        fuse(op, group);
    }
  }

  /// Fills |g|; returns why the pattern does not apply, or null.
  static const char *match(AppendLatentOp op, LatentGroup &g) {
    g.kvNorm = op.getLatent().getDefiningOp<RmsNormOp>();
    g.rope = op.getKPe().getDefiningOp<RopeOp>();
    if (!g.kvNorm || !g.rope || g.rope.getHeads() != 1)
      return "the operands are not a norm and a rotation of one head";
    g.latent = g.kvNorm.getInput().getDefiningOp<SliceOp>();
    g.kPe = g.rope.getInput().getDefiningOp<SliceOp>();
    if (!g.latent || !g.kPe || g.latent.getInput() != g.kPe.getInput())
      return "latent and rotary key are not slices of one value";
    uint64_t at = g.latent.getOffset();
    CacheType cache = op.getCache().getType();
    if (g.kPe.getOffset() != at + cache.getLatent())
      return "the rotary key does not follow the latent";
    if (at == 0)
      return nullptr;
    for (Operation *user : g.latent.getInput().getUsers())
      if (auto slice = dyn_cast<SliceOp>(user); slice && slice.getOffset() == 0)
        g.query = slice;
    if (!g.query || !g.query.getResult().hasOneUse())
      return "the columns in front of the latent are not one slice";
    auto width = cast<RankedTensorType>(g.query.getResult().getType());
    if (width.getDimSize(1) != static_cast<int64_t>(at))
      return "the query slice does not end at the latent";
    g.queryNorm = dyn_cast<RmsNormOp>(*g.query.getResult().getUsers().begin());
    if (!g.queryNorm)
      return "the query slice is not normalised";
    if (g.queryNorm.getEpsAttr() != g.kvNorm.getEpsAttr())
      return "the two norms have different eps";
    return nullptr;
  }

  static void fuse(AppendLatentOp op, LatentGroup &g) {
    Value input = g.latent.getInput();
    // Directly behind its input: the query's readers come before the append.
    // Only pure operations lie between, and nothing before reads the cache.
    OpBuilder b(op.getContext());
    b.setInsertionPointAfterValue(input);
    Type normType, quantizedType;
    FloatAttr floor;
    Value qWeight;
    std::optional<fuse::NormUses> uses;
    if (g.queryNorm) {
      Value norm = g.queryNorm.getResult();
      uses.emplace(norm);
      normType = uses->normType(norm);
      quantizedType = uses->quantizedType();
      floor = uses->floor();
      qWeight = g.queryNorm.getWeight();
    }
    SmallVector<Operation *> parts = {g.latent, g.kvNorm, g.kPe, g.rope, op};
    if (g.queryNorm)
      parts.append({g.query, g.queryNorm});
    if (uses && uses->quantization)
      parts.push_back(uses->quantization);
    auto fused = LatentNormRopeCacheOp::create(
        b, fuseLoc("latent_cache", "fuse-latent-cache", parts), normType,
        quantizedType, input, qWeight, g.kvNorm.getWeight(), g.rope.getTable(),
        op.getBatch(), op.getCache(), g.kvNorm.getEpsAttr(), floor);
    op.erase();
    g.rope.erase();
    g.kPe.erase();
    g.kvNorm.erase();
    g.latent.erase();
    if (!g.queryNorm)
      return;
    if (uses->quantization) {
      uses->quantization.getResult().replaceAllUsesWith(fused.getQuantized());
      uses->quantization.erase();
    }
    if (uses->keepNorm)
      g.queryNorm.getResult().replaceAllUsesWith(fused.getNorm());
    g.queryNorm.erase();
    g.query.erase();
  }
};

} // namespace
