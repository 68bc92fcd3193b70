#include "passes/Dsv3/Rungs.h"

#include "dialects/Diagnostics.h"

using namespace hadal::dsv3;
using namespace mlir;

namespace hadal {

FailureOr<std::optional<ExchangeShape>> readExchangeShape(ModuleOp module) {
  MeshAttr mesh = getMesh(module);
  if (!mesh || mesh.getEp() == 1)
    return std::optional<ExchangeShape>();
  auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr);
  auto number = [&](StringRef key) -> int64_t {
    auto value = model ? model.getAs<IntegerAttr>(key) : IntegerAttr();
    return value ? value.getInt() : 0;
  };
  ExchangeShape shape{mesh.getEp(), mesh.getSlots(),
                      number("num_experts_per_token"),
                      number("num_moe_layers")};
  if (shape.topk < 1 || shape.layers < 1 || shape.slots < 1)
    return emitCodedError(module, 2001)
           << "ranks share experts, of which '" << kModelAttr << "' has none";
  return std::optional(shape);
}

FailureOr<SmallVector<BucketAttr>> addRungs(ModuleOp module, BucketAttr bucket,
                                            const ExchangeShape &shape,
                                            StringRef capacity) {
  SmallVector<BucketAttr> buckets;
  auto add = [&](const ExchangeCapacity &size, Rung rung) {
    buckets.push_back(BucketAttr::get(
        module.getContext(), bucket.getKind(), bucket.getTokens(),
        bucket.getRows(), bucket.getQueries(), 0, size.rows, size.pairs, rung));
  };
  int64_t tp = getMesh(module).getTp();
  int64_t slice = llvm::divideCeil(bucket.getTokens(), tp);
  if (int64_t most = mostSlice(shape); slice > most)
    return emitCodedError(module, 2006)
           << "a bucket of " << bucket.getTokens()
           << " tokens is too large for " << shape.ranks
           << " ranks that share experts: what one receives is numbered in 32 "
              "bits; use buckets of at most "
           << most * tp << " tokens";
  int64_t given = 0;
  if (capacity != "auto" && capacity != "worst" &&
      (capacity.getAsInteger(10, given) || given < 1))
    return emitCodedError(module, 2002)
           << "capacity must be auto, worst or a positive number, got '"
           << capacity << "'";
  if (capacity != "worst")
    if (auto expected = expectedCapacity(shape, slice, given))
      add(*expected, Rung::Expected);
  add(worstCapacity(shape, slice), Rung::Worst);
  return buckets;
}

} // namespace hadal
