#include "compiler/driver/Layout.h"

#include "frontend/Error.h"
#include "llvm/Support/MathExtras.h"

namespace hadal {

/// Experts and their second copies are dealt out evenly.
static llvm::Error checkExperts(const ModelConfig &config,
                                const CompileOptions &options) {
  int64_t ep = options.ep, experts = config.experts;
  int64_t slots = experts + options.redundantExperts;
  // A rank has no use for an expert twice.
  if (slots > experts * ep)
    return makeError(2006,
                     "--redundant-experts {0} gives each of {1} ranks {2} "
                     "slots for {3} experts; use at most {4}",
                     options.redundantExperts, ep,
                     llvm::divideCeil(slots, ep), experts,
                     experts * (ep - 1));
  if (slots % ep) {
    int64_t legal = llvm::alignTo(slots, ep);
    return makeError(
        2006,
        "--ep {0} does not divide {1} experts{2}; with --redundant-experts {3} "
        "it does ({4} = {0} x {5})",
        ep, experts,
        options.redundantExperts
            ? llvm::formatv(" and {0} redundant ones", options.redundantExperts)
                  .str()
            : "",
        legal - experts, legal, legal / ep);
  }
  return llvm::Error::success();
}

llvm::Error resolveLayout(const ModelConfig &config, CompileOptions &options) {
  int64_t ranks = options.ranks();
  bool hasExperts = config.numMoeLayers() > 0;
  if (!hasExperts && (options.ep > 1 || options.redundantExperts > 0))
    return makeError(
        2006, "{0}: the model has no experts",
        options.ep > 1
            ? llvm::formatv("--ep {0}", options.ep).str()
            : llvm::formatv("--redundant-experts {0}", options.redundantExperts)
                  .str());
  if (options.ep == 0)
    options.ep = hasExperts ? ranks : 1;
  if (ranks % options.ep)
    return makeError(2006,
                     "--ep {0} does not divide the {1} ranks of --dp {1}",
                     options.ep, ranks);
  if (options.overlap == OverlapChoice::On && options.ep == 1)
    return makeError(2006,
                     "--overlap on: there is nothing to overlap with, the ranks "
                     "exchange no rows; it takes a model with experts and --dp "
                     "and --ep above 1");
  return hasExperts ? checkExperts(config, options) : llvm::Error::success();
}

dsv3::MeshAttr meshOf(mlir::MLIRContext *context, const ModelConfig &config,
                      const CompileOptions &options) {
  bool hasExperts = config.numMoeLayers() > 0;
  int64_t slots =
      hasExperts ? (config.experts + options.redundantExperts) / options.ep : 0;
  return dsv3::MeshAttr::get(context, options.tp, options.dp, options.ep,
                             options.ranksPerNode, slots);
}

} // namespace hadal
