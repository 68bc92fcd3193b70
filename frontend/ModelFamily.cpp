#include "frontend/ModelFamily.h"

using namespace hadal;
using llvm::StringLiteral;
using llvm::StringRef;

/// Values of transformers' configuration classes.
static const ModelFamily kFamilies[] = {
    {.modelType = "deepseek_v2",
     .scoring = "softmax",
     .topkMethod = "greedy",
     .renormalize = false,
     .routeScale = 1,
     .groups = 1,
     .topGroups = 1,
     .denseLayers = 0},
    // V3, V3-0324, R1, V3.1, Prover-V2, GigaChat 3 and 3.1, Moonlight.
    {.modelType = "deepseek_v3"},
    {.modelType = "deepseek_v32", .indexTopk = 2048},
    // GLM-4.7-Flash, whose files name no scoring function.
    {.modelType = "glm4_moe_lite",
     .routeScale = 1.8,
     .groups = 1,
     .topGroups = 1,
     .denseLayers = 1,
     .normEps = 1e-5},
    // GLM-5, 5.1, 5.2.
    {.modelType = "glm_moe_dsa",
     .groups = 1,
     .topGroups = 1,
     .normEps = 1e-5,
     .headDim = HeadDim::Free,
     .indexTopk = 2048},
    {.modelType = "kimi_k2"},
    // K2.5, K2.6, K2.7-Code.
    {.modelType = "kimi_k25", .textPrefix = "language_model."},
    {.modelType = "youtu", .experts = false, .tiedEmbeddings = true},
    // An older upload of the same model.
    {.modelType = "youtu_llm", .experts = false, .tiedEmbeddings = true},
};

/// Models that are taken for members of the family, and what they need. A name
/// that ends with '*' is a prefix.
static constexpr std::pair<StringLiteral, StringLiteral> kOthers[] = {
    {"axk1", "a norm after the experts"},
    {"axk2", "gated norms and outputs"},
    {"bailing_*", "grouped-query or linear attention"},
    {"deepseek_v4*", "compressed attention, grouped output projections, "
                     "hyper-connections, hash routing, a sqrt-softplus router "
                     "and FP4 experts"},
    {"deepseek_vl*", "a vision tower"},
    {"dots3_note", "gated norms and outputs"},
    {"glm4_moe", "grouped-query attention"},
    {"glm5_next", "delta attention and hyper-connections"},
    {"gpt_oss", "grouped-query attention"},
    {"hy_v4", "gated norms and outputs"},
    {"kimi_k3", "delta attention, experts of latent width and MXFP4 weights"},
    {"kimi_linear", "delta attention"},
    {"kimi_vl", "a vision tower"},
    {"llama4*", "grouped-query attention"},
    {"longcat_flash*", "two attentions and a shortcut mixture in each layer, "
                       "and experts that compute nothing"},
    {"mimo_v2_flash", "window attention with sinks"},
    {"minicpm3", "LongRoPE, and scaled embeddings and residual branches"},
    {"minimax_m2*", "grouped-query attention with norms of queries and keys"},
    {"minimax_m3*", "block-sparse attention"},
    {"mistral3", "a vision tower and queries scaled by position"},
    {"mistral4", "queries scaled by position"},
    {"mistral_large4", "another indexer, layers without positions, a shared "
                       "cache and queries scaled by position"},
    {"pangu_ultra_moe", "norms after each branch"},
    {"qwen*", "grouped-query attention"},
    {"sarvam_mla", "a router bias that is centred at load"},
    {"step3*", "another factorisation of attention"},
};

llvm::ArrayRef<StringLiteral> hadal::multiModalPrefixes() {
  static constexpr StringLiteral kPrefixes[] = {"vision_tower.",
                                                "mm_projector."};
  return kPrefixes;
}

const ModelFamily *hadal::findModelFamily(StringRef modelType) {
  for (const ModelFamily &family : kFamilies)
    if (family.modelType == modelType)
      return &family;
  return nullptr;
}

std::string hadal::knownModelTypes() {
  std::string out;
  for (const ModelFamily &family : kFamilies)
    out += (out.empty() ? "" : ", ") + family.modelType.str();
  return out;
}

StringRef hadal::missingOperators(StringRef modelType) {
  for (auto [name, operators] : kOthers)
    if (name == modelType ||
        (name.ends_with("*") && modelType.starts_with(name.drop_back())))
      return operators;
  return {};
}
