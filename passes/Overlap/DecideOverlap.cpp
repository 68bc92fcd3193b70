#include "dialects/Diagnostics.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "passes/Overlap/Interleaving.h"
#include "passes/Overlap/LayerCost.h"
#include "passes/Overlap/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_DECIDEOVERLAP
#include "passes/Overlap/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace mlir;

namespace {

/// The orders of two chains grow with the factorials of their length.
constexpr size_t kMostStages = 6;

/// The entries of one bucket: with one micro-batch and with two, each of one
/// rung or two.
struct Bucket {
  SmallVector<exec::EntryOp> plain, halved;
};

struct DecideOverlapPass : hadal::impl::DecideOverlapBase<DecideOverlapPass> {
  using Base::Base;

  void runOnOperation() override {
    if (overlap != "auto" && overlap != "on") {
      emitCodedError(getOperation(), 2002)
          << "overlap must be auto or on, got '" << overlap << "'";
      return signalPassFailure();
    }
    std::map<std::pair<exec::EntryKind, int64_t>, Bucket> buckets;
    for (auto entry : getOperation().getOps<exec::EntryOp>())
      if (entry.getKind() != exec::EntryKind::Head) {
        Bucket &bucket = buckets[{entry.getKind(), *entry.getTokens()}];
        (entry.getMicroBatches() == 1 ? bucket.plain : bucket.halved)
            .push_back(entry);
      }
    std::optional<cost::Cluster> links;
    for (auto &[key, bucket] : buckets) {
      if (bucket.halved.empty()) {
        sayWithout(bucket);
        continue;
      }
      if (!cluster.empty() && !links) {
        StatusOr<cost::Cluster> parsed =
            cost::parseCluster(cluster, "the cluster of exec.options");
        if (!parsed.ok())
          return fail(parsed.status());
        links = std::move(*parsed);
      }
      if (failed(decide(bucket, links ? &*links : nullptr)))
        return signalPassFailure();
    }
    if (isDropped)
      eraseUnused();
  }

  void fail(const Status &status) {
    emitCodedError(getOperation(), ErrorCode::of(status.code()))
        << status.message();
    signalPassFailure();
  }

  /// Of a bucket that was not halved: because nothing is known of links.
  void sayWithout(Bucket &bucket) {
    if (!cluster.empty() || overlap == "on" || !bucket.plain.front().getRung())
      return;
    const std::string why = "nothing says what links cost (--cluster)";
    record(bucket.plain.front(), "one micro-batch: " + why);
    for (exec::EntryOp entry : bucket.plain)
      entry.setOverlapAttr(
          attributeOf(exec::OverlapDecision::Refused, {}, why));
  }

  /// The one that most steps run on.
  static exec::EntryOp usual(ArrayRef<exec::EntryOp> entries) {
    auto expected = llvm::find_if(entries, [](exec::EntryOp entry) {
      return entry.getRung() == exec::Rung::Expected;
    });
    return expected == entries.end() ? entries.front() : *expected;
  }

  LogicalResult decide(Bucket &bucket, const cost::Cluster *cluster) {
    exec::EntryOp half = usual(bucket.halved);
    if (bucket.plain.empty())
      return half.emitOpError("of two micro-batches has no twin of one");
    exec::EntryOp whole = usual(bucket.plain);
    LayerStages halfStages, wholeStages;
    std::string why;
    const std::string name = whole.getSymName().str();
    if (!findExchangingLayer(half, halfStages, why) ||
        !findExchangingLayer(whole, wholeStages, why))
      return refuse(bucket, name, why);
    if (!cluster) {
      const std::string unpriced = "nothing says what links cost (--cluster)";
      return overlap == "on" ? force(bucket, half, name, halfStages, unpriced)
                             : refuse(bucket, name, unpriced);
    }
    if (halfStages.size() > kMostStages) {
      const std::string unsearched =
          "a layer has more than " + std::to_string(kMostStages) + " stages";
      return overlap == "on" ? force(bucket, half, name, halfStages, unsearched)
                             : refuse(bucket, name, unsearched);
    }
    StatusOr<cost::Chain> wholeChain =
        priceLayer(whole, wholeStages, *cluster, /*beside=*/false);
    if (!wholeChain.ok())
      return fail(wholeChain.status()), failure();
    StatusOr<cost::Chain> halfChain =
        priceLayer(half, halfStages, *cluster, /*beside=*/true);
    if (!halfChain.ok())
      return fail(halfChain.status()), failure();
    StatusOr<cost::OverlapDecision> made = cost::decideOverlap(
        name, *wholeChain, *halfChain, cluster->machine, /*fits=*/true,
        overlap == "on" ? cost::OverlapMode::on : cost::OverlapMode::automatic);
    if (!made.ok())
      return fail(made.status()), failure();
    const exec::OverlapDecision decision =
        made->forced ? exec::OverlapDecision::Forced
        : made->kept ? exec::OverlapDecision::Kept
                     : exec::OverlapDecision::Refused;
    exec::OverlapAttr attribute = attributeOf(decision, *made, made->reason);
    if (made->forced)
      half.emitWarning(made->text);
    record(half, made->text);
    if (made->kept)
      keep(bucket, toWords(*halfChain, made->plan.interleaving), attribute);
    else
      drop(bucket, attribute);
    return success();
  }

  /// Keeps what was asked for where |why| there is no search for an order.
  LogicalResult force(Bucket &bucket, exec::EntryOp half,
                      const std::string &name, const LayerStages &stages,
                      const std::string &why) {
    keep(bucket, defaultInterleaving(&getContext(), stages),
         attributeOf(exec::OverlapDecision::Forced, {}, "asked for; " + why));
    record(half, name + ": two micro-batches: kept as asked for; " + why);
    return success();
  }

  LogicalResult refuse(Bucket &bucket, const std::string &name,
                       const std::string &why) {
    record(bucket.halved.front(), name + ": one micro-batch: " + why);
    drop(bucket, attributeOf(exec::OverlapDecision::Refused, {}, why));
    return success();
  }

  exec::OverlapAttr attributeOf(exec::OverlapDecision decision,
                                const cost::OverlapDecision &made,
                                const std::string &reason) {
    auto ns = [](double us) { return static_cast<int64_t>(us * 1000 + 0.5); };
    return exec::OverlapAttr::get(
        &getContext(), decision, ns(made.beforeUs), ns(made.afterUs),
        ns(std::min(made.exposedBeforeUs, made.beforeUs)),
        ns(std::min(made.exposedAfterUs, made.afterUs)),
        StringAttr::get(&getContext(), reason));
  }

  ArrayAttr toWords(const cost::Chain &chain,
                    const cost::Interleaving &interleaving) {
    const size_t size = chain.size();
    std::array<size_t, kMicroBatches> next = {0, size - interleaving.lag};
    SmallVector<Attribute> words;
    for (unsigned batch : interleaving.order)
      words.push_back(
          StringAttr::get(&getContext(), chain[next[batch]++ % size].name +
                                             "." + std::to_string(batch)));
    return ArrayAttr::get(&getContext(), words);
  }

  static void keep(Bucket &bucket, ArrayAttr interleaving,
                   exec::OverlapAttr attribute) {
    for (exec::EntryOp entry : bucket.halved)
      entry.setInterleavingAttr(interleaving);
    for (auto &entries : {bucket.plain, bucket.halved})
      for (exec::EntryOp entry : entries)
        entry.setOverlapAttr(attribute);
  }

  void drop(Bucket &bucket, exec::OverlapAttr attribute) {
    isDropped = true;
    for (exec::EntryOp entry : bucket.plain)
      entry.setOverlapAttr(attribute);
    for (exec::EntryOp entry : bucket.halved)
      entry.erase();
  }

  /// A choice, for the user and the provenance.
  void record(Operation *op, const std::string &text) {
    SmallVector<Attribute> all;
    if (auto old = getOperation()->getAttrOfType<ArrayAttr>(exec::kRemarksAttr))
      llvm::append_range(all, old);
    Attribute remark = StringAttr::get(&getContext(), text);
    if (llvm::is_contained(all, remark))
      return;
    emitRemark(op->getLoc(), text);
    all.push_back(remark);
    getOperation()->setAttr(exec::kRemarksAttr,
                            ArrayAttr::get(&getContext(), all));
  }

  /// Functions and kernels that only what was refused has used.
  void eraseUnused() {
    llvm::StringSet<> used;
    for (auto entry : getOperation().getOps<exec::EntryOp>())
      addUses(entry.getBodyBlock(), used);
    for (Operation &op :
         llvm::make_early_inc_range(getOperation().getBody()->getOperations()))
      if (isa<exec::FuncOp, tile::KernelOp>(op) &&
          !used.contains(SymbolTable::getSymbolName(&op).getValue()))
        op.erase();
  }

  void addUses(Block &block, llvm::StringSet<> &used) {
    for (Operation &op : block)
      for (StringRef name : {"kernel", "callee"})
        if (auto symbol = op.getAttrOfType<FlatSymbolRefAttr>(name);
            symbol && used.insert(symbol.getValue()).second)
          if (auto func =
                  getOperation().lookupSymbol<exec::FuncOp>(symbol.getValue()))
            addUses(func.getBodyBlock(), used);
  }

  bool isDropped = false;
};

} // namespace
