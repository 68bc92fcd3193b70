#include "compiler/driver/Layout.h"

#include "frontend/Error.h"
#include "llvm/Support/MathExtras.h"
#include <optional>

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
                     options.redundantExperts, ep, llvm::divideCeil(slots, ep),
                     experts, experts * (ep - 1));
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

namespace {

/// A weight of attention that is split by heads.
struct HeadWeight {
  const char *name, *what; ///< what a head has of it
  int64_t width;           ///< so many of these
};

} // namespace

/// The first weight of |config| of which a rank's share among |tp| cuts a scale
/// block; none if all are whole.
static std::optional<HeadWeight> findCutBlock(const ModelConfig &config,
                                              int64_t tp) {
  if (config.weights != WeightFormat::FP8)
    return std::nullopt;
  const HeadWeight weights[] = {
      {config.qLoraRank > 0 ? "q_b_proj" : "q_proj", "row", config.headWidth()},
      {"kv_b_proj", "row", config.nope + config.value},
      {"o_proj", "column", config.value}};
  for (const HeadWeight &weight : weights)
    if (config.heads / tp * weight.width % dsv3::kBlock)
      return weight;
  return std::nullopt;
}

/// Heads and vocabulary are dealt out evenly, in whole scale blocks.
static llvm::Error checkTensors(const ModelConfig &config,
                                const CompileOptions &options) {
  int64_t tp = options.tp;
  std::vector<int64_t> legal;
  for (int64_t n = 1; n <= config.heads; ++n)
    if (config.heads % n == 0 && !findCutBlock(config, n))
      legal.push_back(n);
  if (config.heads % tp) {
    std::string list;
    for (size_t i = 0; i < legal.size(); ++i)
      list += (i == 0                 ? ""
               : i + 1 < legal.size() ? ", "
                                      : " or ") +
              std::to_string(legal[i]);
    return makeError(2006, "--tp {0} does not divide {1} heads; use {2}", tp,
                     config.heads, list.empty() ? "1" : list);
  }
  // One rank has all heads, whatever their blocks.
  if (tp > 1)
    if (auto cut = findCutBlock(config, tp)) {
      int64_t heads = config.heads / tp;
      std::string have =
          heads == 1 ? "one head" : std::to_string(heads) + " heads";
      return makeError(2006,
                       "--tp {0} leaves {1} a rank, whose {2} {3}s of {4} cut "
                       "a 128-{3} scale block; the largest --tp is {5}",
                       tp, have, heads * cut->width, cut->what, cut->name,
                       legal.empty() ? 1 : legal.back());
    }
  // With f32 activations it is what happens anyway.
  if (tp == 1 && options.f32Reductions && !options.f32Activations)
    return makeError(2006, "--reduce f32: no ranks share a sum; use --tp");
  if (!options.splitVocabulary)
    return llvm::Error::success();
  if (tp == 1)
    return makeError(2006, "--vocab tp: no ranks share a head; use --tp");
  if (config.tiedEmbeddings)
    return makeError(2006, "--vocab tp: the head's weight is the embedding, "
                           "which each rank has whole");
  if (config.vocab % tp)
    return makeError(2006, "--vocab tp: {0} rows do not divide by {1}",
                     config.vocab, tp);
  return llvm::Error::success();
}

llvm::Error resolveLayout(const ModelConfig &config, CompileOptions &options,
                          std::vector<std::string> &warnings) {
  int64_t ranks = options.ranks();
  if (llvm::Error error = checkTensors(config, options))
    return error;
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
    return makeError(
        2006, "--ep {0} does not divide the {1} ranks of {2}--dp {3}",
        options.ep, ranks,
        options.tp > 1 ? llvm::formatv("--tp {0} ", options.tp).str() : "",
        options.dp);
  if (options.ep > 1 && options.ep % options.tp)
    return makeError(2006, "--ep {0} splits a tp group of {1}", options.ep,
                     options.tp);
  if (options.ranksPerNode % options.tp)
    warnings.push_back(
        llvm::formatv("--ranks-per-node {0} splits a tp group of {1}",
                      options.ranksPerNode, options.tp));
  if (options.overlap == OverlapChoice::On && options.ep == 1)
    return makeError(2006,
                     "--overlap on: there is nothing to overlap with, the ranks "
                     "exchange no rows; it takes a model with experts and --dp "
                     "and --ep above 1");
  return hasExperts ? checkExperts(config, options) : llvm::Error::success();
}

dsv3::MeshAttr meshOf(mlir::MLIRContext *context, const ModelConfig &config,
                      const CompileOptions &options) {
  // Of a model whose layers are all dense, those that its configuration names.
  int64_t slots = (config.experts + options.redundantExperts) / options.ep;
  return dsv3::MeshAttr::get(context, options.tp, options.dp, options.ep,
                             options.ranksPerNode, slots);
}

} // namespace hadal
