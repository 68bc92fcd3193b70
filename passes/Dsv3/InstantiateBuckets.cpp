#include "dialects/Diagnostics.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Dsv3/Capacity.h"
#include "passes/Dsv3/Passes.h"

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
    SmallVector<int64_t> chosen = selectDecodeSizes(decodeSizes, maxBatchSize);
    if (chosen.empty())
      return emitCodedError(getOperation(), 2002)
             << "no decode bucket holds --max-batch-size "
             << maxBatchSize.getValue() << "; the largest is "
             << decodeSizes.back();
    std::optional<ExchangeShape> exchange;
    if (failed(readExchange(exchange)))
      return failure();
    for (int64_t n : chosen)
      if (failed(addRungs(BucketAttr::get(ctx, BucketKind::Decode, n, n, 1, 0),
                          exchange, buckets)))
        return failure();
    for (int64_t n : prefillSizes)
      if (failed(addRungs(
              BucketAttr::get(ctx, BucketKind::Prefill, n, maxBatchSize, n, 0),
              exchange, buckets)))
        return failure();
    for (int64_t n : headSizes)
      heads.push_back(BucketAttr::get(ctx, BucketKind::Head, 0, 0, 0, n));
    return success();
  }

  /// What the capacity of an exchange depends on; stays empty where ranks share
  /// no experts.
  LogicalResult readExchange(std::optional<ExchangeShape> &exchange) {
    MeshAttr mesh = getMesh(getOperation());
    if (!mesh || mesh.getEp() == 1)
      return success();
    auto model = getOperation()->getAttrOfType<DictionaryAttr>(kModelAttr);
    auto number = [&](StringRef key) -> int64_t {
      auto value = model ? model.getAs<IntegerAttr>(key) : IntegerAttr();
      return value ? value.getInt() : 0;
    };
    exchange = ExchangeShape{mesh.getEp(), mesh.getSlots(),
                             number("num_experts_per_token"),
                             number("num_moe_layers")};
    if (exchange->topk < 1 || exchange->layers < 1 || exchange->slots < 1)
      return emitCodedError(getOperation(), 2001)
             << "ranks share experts, of which '" << kModelAttr << "' has none";
    return success();
  }

  /// Adds |bucket| with the capacities of its rungs, the expected one first.
  LogicalResult addRungs(BucketAttr bucket,
                         const std::optional<ExchangeShape> &exchange,
                         SmallVector<BucketAttr> &buckets) {
    if (!exchange) {
      buckets.push_back(bucket);
      return success();
    }
    int64_t slice =
        llvm::divideCeil(bucket.getTokens(), getMesh(getOperation()).getTp());
    if (int64_t most = mostSlice(*exchange); slice > most)
      return emitCodedError(getOperation(), 2006)
             << "a bucket of " << bucket.getTokens()
             << " tokens is too large for " << exchange->ranks
             << " ranks that share experts: what one receives is numbered in "
                "32 "
                "bits; use buckets of at most "
             << most * getMesh(getOperation()).getTp() << " tokens";
    auto add = [&](const ExchangeCapacity &size, Rung rung) {
      buckets.push_back(BucketAttr::get(
          &getContext(), bucket.getKind(), bucket.getTokens(), bucket.getRows(),
          bucket.getQueries(), 0, size.rows, size.pairs, rung));
    };
    int64_t given = 0;
    if (capacity != "auto" && capacity != "worst" &&
        (StringRef(capacity).getAsInteger(10, given) || given < 1))
      return emitCodedError(getOperation(), 2002)
             << "capacity must be auto, worst or a positive number, got '"
             << capacity << "'";
    if (capacity != "worst")
      if (auto expected = expectedCapacity(*exchange, slice, given))
        add(*expected, Rung::Expected);
    add(worstCapacity(*exchange, slice), Rung::Worst);
    return success();
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
