#include "dialects/Diagnostics.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Dsv3/Rungs.h"
#include "llvm/ADT/StringSet.h"

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
    auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr);
    if (auto drafts =
            model ? model.getAs<IntegerAttr>(kMaxDraftsKey) : IntegerAttr())
      maxDrafts = drafts.getInt();
    if (maxDrafts > 0 && getMesh(module))
      return emitCodedError(module, 2002)
             << "several ranks do not run a layer of multi-token prediction; "
                "compile without --mtp";
    SmallVector<BucketAttr> buckets, heads;
    if (failed(makeBuckets(buckets, heads)))
      return failure();

    // The originals.
    SmallVector<func::FuncOp> callers = {forward, head}, callees;
    for (func::FuncOp func : module.getOps<func::FuncOp>())
      if (func.isPrivate())
        callees.push_back(func);
      else if (maxDrafts > 0 && func.getSymName().starts_with("draft"))
        callers.push_back(func);
    SmallVector<func::FuncOp> functions = withCallees(forward);
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    bool isSecondRung = false;
    for (BucketAttr bucket : buckets) {
      instantiate(b, functions, bucket, isSecondRung);
      isSecondRung = bucket.getRung() == Rung::Expected;
    }
    for (BucketAttr bucket : heads)
      instantiate(b, head, bucket);
    if (maxDrafts > 0 && failed(instantiateDrafts(b, buckets, heads)))
      return failure();
    for (SmallVector<func::FuncOp> *list : {&callers, &callees})
      for (func::FuncOp func : *list)
        func.erase();
    return success();
  }

  /// What |func| calls, in the order of the module, and |func|.
  SmallVector<func::FuncOp> withCallees(func::FuncOp func) {
    llvm::StringSet<> called;
    func.walk([&](func::CallOp call) { called.insert(call.getCallee()); });
    SmallVector<func::FuncOp> functions;
    for (auto callee : getOperation().getOps<func::FuncOp>())
      if (called.contains(callee.getSymName()))
        functions.push_back(callee);
    functions.push_back(func);
    return functions;
  }

  /// The layer of multi-token prediction behind each of |bodies| that needs it,
  /// and its head for the rows of a step.
  LogicalResult instantiateDrafts(OpBuilder &b, ArrayRef<BucketAttr> bodies,
                                  ArrayRef<BucketAttr> heads) {
    ModuleOp module = getOperation();
    auto find = [&](StringRef name) {
      auto func = module.lookupSymbol<func::FuncOp>(name);
      if (!func)
        emitCodedOpError(module, 2001)
            << "drafts " << maxDrafts << " tokens and has no @" << name;
      return func;
    };
    auto draft = find("draft"), draftHead = find("draft_head"),
         next = maxDrafts > 1 ? find("draft_next") : draft;
    if (!draft || !draftHead || !next)
      return failure();
    auto like = [&](BucketKind kind, BucketAttr bucket, int64_t queries) {
      const int64_t rows = bucket.getRows();
      return BucketAttr::get(&getContext(), kind,
                             kind == BucketKind::DraftNext ? rows
                                                           : bucket.getTokens(),
                             rows, queries, 0);
    };
    for (BucketAttr body : bodies) {
      const int64_t queries = body.getQueries();
      if (body.getKind() == BucketKind::Prefill) {
        instantiate(b, withCallees(draft),
                    like(BucketKind::DraftPrefill, body, queries));
      } else if (queries > 1) {
        instantiate(b, withCallees(draft),
                    like(BucketKind::Draft, body, queries));
        if (maxDrafts > 1)
          instantiate(b, withCallees(next),
                      like(BucketKind::DraftNext, body, 1));
      }
    }
    // A draft needs the logits of one token a row.
    for (BucketAttr head : heads) {
      instantiate(b, draftHead,
                  BucketAttr::get(&getContext(), BucketKind::DraftHead, 0, 0, 0,
                                  head.getLogits()));
      if (head.getLogits() >= maxBatchSize)
        break;
    }
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
    if (maxDrafts > 0)
      for (int64_t n : chosen)
        if (failed(add(BucketAttr::get(ctx, BucketKind::Decode,
                                       n * (maxDrafts + 1), n, maxDrafts + 1,
                                       0))))
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
    // What is called has a name of its own; an entry is its bucket, but of
    // @forward there are two kinds.
    for (func::FuncOp func : functions)
      names[func.getSymName()] =
          func.isPrivate() || func.getSymName() == "forward"
              ? (func.getSymName() + "_" + suffix).str()
              : suffix;
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

  /// K; 0 without a layer of multi-token prediction.
  int64_t maxDrafts = 0;
};

} // namespace
