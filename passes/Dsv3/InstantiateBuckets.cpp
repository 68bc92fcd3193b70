#include "dialects/Diagnostics.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Dsv3/Rungs.h"

namespace hadal {
#define GEN_PASS_DEF_INSTANTIATEBUCKETS
#include "passes/Dsv3/Passes.h.inc"
} // namespace hadal

using namespace hadal;
using namespace hadal::dsv3;
using namespace mlir;

SmallVector<int64_t> hadal::selectDecodeSizes(ArrayRef<int64_t> sizes,
                                              int64_t maxBatchSize) {
  SmallVector<int64_t> sorted(sizes), out;
  llvm::sort(sorted);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  for (int64_t size : sorted) {
    out.push_back(size);
    if (size >= maxBatchSize)
      return out;
  }
  return {};
}

namespace {

struct InstantiateBucketsPass
    : hadal::impl::InstantiateBucketsBase<InstantiateBucketsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

  LogicalResult run() {
    ModuleOp module = getOperation();
    auto forward = module.lookupSymbol<func::FuncOp>("forward");
    auto head = module.lookupSymbol<func::FuncOp>("head");
    if (!forward || !head)
      return emitCodedOpError(module, 2001) << "needs @forward and @head";
    SmallVector<BucketAttr> buckets, heads;
    if (failed(makeBuckets(buckets, heads)))
      return failure();

    // The originals, callees first.
    SmallVector<func::FuncOp> functions;
    for (func::FuncOp func : module.getOps<func::FuncOp>())
      if (func.isPrivate())
        functions.push_back(func);
    functions.push_back(forward);
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    bool isSecondRung = false;
    for (BucketAttr bucket : buckets) {
      instantiate(b, functions, bucket, isSecondRung);
      isSecondRung = bucket.getRung() == Rung::Expected;
    }
    for (BucketAttr bucket : heads)
      instantiate(b, head, bucket);
    for (func::FuncOp func : llvm::reverse(functions))
      func.erase();
    head.erase();
    return success();
  }

  LogicalResult makeBuckets(SmallVector<BucketAttr> &buckets,
                            SmallVector<BucketAttr> &heads) {
    MLIRContext *ctx = &getContext();
    auto orDefault = [](ArrayRef<int64_t> given,
                        std::initializer_list<int64_t> values) {
      SmallVector<int64_t> out = given.empty() ? SmallVector<int64_t>(values)
                                               : SmallVector<int64_t>(given);
      llvm::sort(out);
      out.erase(std::unique(out.begin(), out.end()), out.end());
      return out;
    };
    SmallVector<int64_t> decodeSizes = orDefault(decode, {1, 4, 16, 64});
    SmallVector<int64_t> prefillSizes = orDefault(prefill, {64, 512});
    SmallVector<int64_t> headSizes = orDefault(head, {1, 16, 64});
    for (int64_t size : {decodeSizes.front(), prefillSizes.front(),
                         headSizes.front(), maxBatchSize.getValue()})
      if (size < 1)
        return emitCodedError(getOperation(), 2002)
               << "bucket and batch sizes must be positive, got " << size;
    roundToRanks("decode", decodeSizes);
    roundToRanks("prefill", prefillSizes);
    SmallVector<int64_t> chosen = selectDecodeSizes(decodeSizes, maxBatchSize);
    if (chosen.empty())
      return emitCodedError(getOperation(), 2002)
             << "no decode bucket holds --max-batch-size "
             << maxBatchSize.getValue() << "; the largest is "
             << decodeSizes.back();
    FailureOr<std::optional<ExchangeShape>> exchange =
        readExchangeShape(getOperation());
    if (failed(exchange))
      return failure();
    auto add = [&](BucketAttr bucket) -> LogicalResult {
      if (!*exchange) {
        buckets.push_back(bucket);
        return success();
      }
      auto rungs = addRungs(getOperation(), bucket, **exchange, capacity);
      if (failed(rungs))
        return failure();
      llvm::append_range(buckets, *rungs);
      return success();
    };
    for (int64_t n : chosen)
      if (failed(add(BucketAttr::get(ctx, BucketKind::Decode, n, n, 1, 0))))
        return failure();
    for (int64_t n : prefillSizes)
      if (failed(add(BucketAttr::get(ctx, BucketKind::Prefill, n, maxBatchSize,
                                     n, 0))))
        return failure();
    for (int64_t n : headSizes)
      heads.push_back(BucketAttr::get(ctx, BucketKind::Head, 0, 0, 0, n));
    return success();
  }

  /// Makes |sizes|, in tokens of the buckets of |kind|, multiples of tp: the
  /// slices of a group's ranks are then equal.
  void roundToRanks(StringRef kind, SmallVectorImpl<int64_t> &sizes) {
    MeshAttr mesh = getMesh(getOperation());
    int64_t tp = mesh ? mesh.getTp() : 1;
    std::string rounded;
    for (int64_t &size : sizes) {
      int64_t multiple = llvm::alignTo(size, tp);
      if (multiple != size)
        rounded += (rounded.empty() ? "" : ", ") + std::to_string(size) +
                   " -> " + std::to_string(multiple);
      size = multiple;
    }
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
    if (!rounded.empty())
      recordChoice(getOperation(), (kind + " buckets in tokens: " + rounded +
                                    ", multiples of the " + Twine(tp) +
                                    " ranks that share them")
                                       .str());
  }

  /// Clones |functions| for |bucket|; calls among them go to the clones.
  void instantiate(OpBuilder &b, ArrayRef<func::FuncOp> functions,
                   BucketAttr bucket, bool isSecondRung = false) {
    llvm::StringMap<std::string> names;
    std::string suffix = getBucketName(bucket);
    if (isSecondRung)
      suffix += "_worst";
    bool isHead = bucket.getKind() == BucketKind::Head;
    for (func::FuncOp func : functions)
      names[func.getSymName()] =
          isHead ? suffix : (func.getSymName() + "_" + suffix).str();
    for (func::FuncOp func : functions) {
      auto clone = cast<func::FuncOp>(b.clone(*func));
      clone.setSymName(names[func.getSymName()]);
      clone->setAttr(kBucketAttr, bucket);
      clone.walk([&](func::CallOp call) {
        auto it = names.find(call.getCallee());
        if (it != names.end())
          call.setCallee(it->second);
      });
    }
  }
};

} // namespace
