#include "passes/Dsv3/Rungs.h"
#include "passes/Overlap/Passes.h"

namespace hadal {
#define GEN_PASS_DEF_SPLITMICROBATCHES
#include "passes/Overlap/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

namespace {

constexpr int64_t kMicroBatches = 2;

struct SplitMicroBatchesPass
    : hadal::impl::SplitMicroBatchesBase<SplitMicroBatchesPass> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<std::optional<ExchangeShape>> shape =
        readExchangeShape(getOperation());
    if (failed(shape))
      return signalPassFailure();
    if (!*shape)
      return;
    SmallVector<func::FuncOp> entries;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isPrivate() && getBucket(func) &&
          getBucket(func).getKind() != BucketKind::Head &&
          getMicroBatches(func) == 1 &&
          getBucket(func).getRung() == Rung::Worst && exchanges(func))
        entries.push_back(func);
    // One of each bucket: the rungs of its halves are those of their own size.
    for (func::FuncOp entry : entries)
      if (failed(split(entry, **shape)))
        return signalPassFailure();
  }

  /// The functions that |entry| calls, each once.
  SmallVector<func::FuncOp> calleesOf(func::FuncOp entry) {
    llvm::SmallSetVector<Operation *, 4> found;
    for (auto call : entry.getOps<func::CallOp>())
      found.insert(getOperation().lookupSymbol(call.getCallee()));
    SmallVector<func::FuncOp> callees;
    for (Operation *op : found)
      callees.push_back(cast<func::FuncOp>(op));
    return callees;
  }

  bool exchanges(func::FuncOp entry) {
    return llvm::any_of(calleesOf(entry), [](func::FuncOp callee) {
      return !callee.getOps<StartOp>().empty();
    });
  }

  /// Why |bucket| has no halves, or "".
  std::string refusal(BucketAttr bucket) {
    if (getMesh(getOperation()).getTp() > 1)
      return "ranks share heads (--tp)";
    if (bucket.getTokens() % kMicroBatches)
      return "its tokens are an odd number";
    if (bucket.getRows() < kMicroBatches)
      return "it has one row";
    if (bucket.getKind() == BucketKind::Prefill &&
        bucket.getTokens() < leastPrefill)
      return ("it has fewer than " + Twine(leastPrefill.getValue()) + " tokens")
          .str();
    return "";
  }

  LogicalResult split(func::FuncOp entry, const ExchangeShape &shape) {
    BucketAttr whole = getBucket(entry);
    if (std::string why = refusal(whole); !why.empty()) {
      recordChoice(entry, getBucketName(whole) + ": one micro-batch: " + why);
      return success();
    }
    int64_t tokens = whole.getTokens() / kMicroBatches;
    auto half =
        BucketAttr::get(&getContext(), whole.getKind(), tokens,
                        llvm::divideCeil(whole.getRows(), kMicroBatches),
                        std::min(whole.getQueries(), tokens), /*logits=*/0);
    auto rungs = addRungs(getOperation(), half, shape, capacity);
    if (failed(rungs))
      return failure();
    SmallVector<func::FuncOp> functions = calleesOf(entry);
    functions.push_back(entry);
    for (BucketAttr rung : *rungs)
      instantiate(functions, whole, rung, rungs->size() > 1);
    return success();
  }

  /// Clones |functions| of |whole| for |half|; calls among them go to the
  /// clones.
  void instantiate(ArrayRef<func::FuncOp> functions, BucketAttr whole,
                   BucketAttr half, bool twoRungs) {
    OpBuilder b = OpBuilder::atBlockEnd(getOperation().getBody());
    std::string suffix = "_x" + std::to_string(kMicroBatches);
    if (twoRungs && half.getRung() == Rung::Worst)
      suffix += "_worst";
    // The names without the rung of what is cloned.
    const std::string bucket = getBucketName(whole);
    llvm::StringMap<std::string> names;
    for (func::FuncOp func : functions) {
      StringRef name = func.getSymName();
      names[name] =
          (name.take_front(name.rfind(bucket) + bucket.size()) + suffix).str();
    }
    for (func::FuncOp func : functions) {
      auto clone = cast<func::FuncOp>(b.clone(*func));
      clone.setSymName(names[func.getSymName()]);
      clone->setAttr(kBucketAttr, half);
      clone->setAttr(kMicroBatchesAttr, b.getI64IntegerAttr(kMicroBatches));
      clone.walk([&](func::CallOp call) {
        if (auto it = names.find(call.getCallee()); it != names.end())
          call.setCallee(it->second);
      });
    }
  }
};

} // namespace
