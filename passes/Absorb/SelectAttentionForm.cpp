#include "dialects/Diagnostics.h"
#include "passes/Absorb/Passes.h"
#include "passes/Identity/Names.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

namespace hadal {
#define GEN_PASS_DEF_SELECTATTENTIONFORM
#include "passes/Absorb/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

struct SelectAttentionFormPass
    : hadal::impl::SelectAttentionFormBase<SelectAttentionFormPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

  LogicalResult run() {
    ModuleOp module = getOperation();
    if (attention != "auto" && attention != "absorbed" &&
        attention != "expanded")
      return emitCodedError(module, 2002)
             << "attention must be auto, absorbed or expanded, got '"
             << attention << "'";
    llvm::MapVector<BucketAttr, StringAttr> forms;
    SmallVector<AttentionFormsOp> ops;
    module.walk([&](AttentionFormsOp op) { ops.push_back(op); });
    // The bucket that decides for another: itself, or of a deterministic
    // program the largest of its family.
    llvm::DenseMap<BucketKind, BucketAttr> largest;
    auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr);
    bool deterministic = model && model.contains(kDeterministic);
    for (AttentionFormsOp op : ops) {
      BucketAttr bucket = getBucket(op->getParentOfType<func::FuncOp>());
      if (!bucket)
        return emitCodedOpError(op, 2001)
               << "lies in a function without a bucket";
      BucketAttr &decisive = largest[bucket.getKind()];
      if (!decisive || decisive.getQueries() < bucket.getQueries())
        decisive = bucket;
    }
    for (AttentionFormsOp op : ops) {
      BucketAttr bucket = getBucket(op->getParentOfType<func::FuncOp>());
      bool absorbed =
          choose(op, bucket,
                 deterministic ? largest.lookup(bucket.getKind()) : bucket);
      forms[bucket] =
          StringAttr::get(&getContext(), absorbed ? "absorbed" : "expanded");
      inlineForm(op, absorbed ? op.getAbsorbed() : op.getExpanded());
    }
    for (func::FuncOp func : module.getOps<func::FuncOp>())
      if (auto it = forms.find(getBucket(func)); it != forms.end())
        func->setAttr(kAttentionAttr, it->second);
    return success();
  }

  /// True for the absorbed form, of |bucket| by the costs of |decisive|.
  /// Explains itself once per bucket.
  bool choose(AttentionFormsOp op, BucketAttr bucket, BucketAttr decisive) {
    auto absorbed = static_cast<double>(op.getAbsorbedFlops());
    auto expanded = static_cast<double>(op.getExpandedFlops());
    auto expansion = static_cast<double>(op.getExpansionFlops());
    int64_t queries = decisive.getQueries();
    auto s = static_cast<double>(queries);
    double expandedCost = s * expanded + expansion;
    std::string note = "expanding never pays";
    if (queryTile > 0) {
      int64_t tile = tileOf(queries);
      auto tiles = llvm::divideCeil(queries, tile);
      expandedCost = tiles * (tile * expanded + expansion);
      note = llvm::formatv("keys are expanded for each {0} rows", tile);
    } else if (absorbed > expanded) {
      note = llvm::formatv("expanding pays above {0:F1} rows",
                           expansion / (absorbed - expanded));
    }
    bool result = attention == "auto" ? s * absorbed <= expandedCost
                                      : attention == "absorbed";
    if (attention == "auto" && !result && !isServed(op.getExpanded())) {
      result = true;
      note = llvm::formatv("the expanded form holds heads of {0} columns at "
                           "most",
                           headColumns);
    }
    std::string remark = llvm::formatv(
        "{0}: {1} attention{2}: {3} query rows per sequence cost {4:F0} flops "
        "per key absorbed, {5:F0} expanded; {6}",
        getBucketName(bucket), result ? "absorbed" : "expanded",
        attention != "auto" ? " (as asked)"
        : queries == bucket.getQueries()
            ? ""
            : " (as " + getBucketName(decisive) + ", deterministic)",
        queries, s * absorbed, expandedCost, note);
    recordChoice(op, remark);
    return result;
  }

  /// Rows of a tile of the expanded kernel where a sequence has |queries|: all in
  /// steps of the smallest tile, but no more than the largest.
  int64_t tileOf(int64_t queries) {
    constexpr int64_t kStep = 128;
    return std::min<int64_t>(queryTile,
                             llvm::divideCeil(queries, kStep) * kStep);
  }

  bool isServed(Region &expanded) {
    bool served = true;
    expanded.walk([&](MlaPrefillOp op) {
      int64_t widest = std::max(op.getNope(), op.getValue());
      served &= headColumns == 0 || widest <= headColumns;
    });
    return served;
  }

  static void inlineForm(AttentionFormsOp op, Region &region) {
    Block &block = region.front();
    auto yield = cast<YieldOp>(block.getTerminator());
    // What gives the result stands for the form that goes.
    if (Operation *result = yield.getValue().getDefiningOp())
      op->walk([&](Operation *inner) {
        if (!region.isAncestor(inner->getParentRegion()))
          absorbLoc(result, "select-attention-form", inner);
      });
    op.getResult().replaceAllUsesWith(yield.getValue());
    yield.erase();
    op->getBlock()->getOperations().splice(op->getIterator(),
                                           block.getOperations());
    op.erase();
  }
};

} // namespace
