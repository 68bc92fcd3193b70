#include "frontend/ModelFamily.h"

using namespace hadal;
using llvm::StringLiteral;
using llvm::StringRef;

/// Values of transformers' configuration classes.
static const ModelFamily kFamilies[] = {
    {.modelType = "deepseek_v2",
     .models = "DeepSeek-V2, V2.5, V2-Lite, Coder-V2, Coder-V2-Lite",
     .scoring = "softmax",
     .topkMethod = "greedy",
     .renormalize = false,
     .routeScale = 1,
     .groups = 1,
     .topGroups = 1,
     .denseLayers = 0},
    {.modelType = "deepseek_v3",
     .models = "DeepSeek-V3, V3-0324, V3.1, R1, R1-0528, Prover-V2; GigaChat "
               "3, 3.1; Moonlight"},
    {.modelType = "deepseek_v32", .models = "DeepSeek-V3.2", .indexTopk = 2048},
    // Its files name no scoring function.
    {.modelType = "glm4_moe_lite",
     .models = "GLM-4.7-Flash",
     .routeScale = 1.8,
     .groups = 1,
     .topGroups = 1,
     .denseLayers = 1,
     .normEps = 1e-5},
    {.modelType = "glm_moe_dsa",
     .models = "GLM-5, 5.1, 5.2",
     .groups = 1,
     .topGroups = 1,
     .normEps = 1e-5,
     .headDim = HeadDim::Free,
     .indexTopk = 2048},
    {.modelType = "kimi_k2", .models = "Kimi-K2, K2-0905, K2-Thinking"},
    {.modelType = "kimi_k25",
     .models = "Kimi-K2.5, K2.6, K2.7-Code",
     .textPrefix = "language_model."},
    {.modelType = "youtu",
     .models = "Youtu-LLM-2B",
     .experts = false,
     .tiedEmbeddings = true},
    {.modelType = "youtu_llm",
     .models = "Youtu-LLM-2B, an older upload",
     .experts = false,
     .tiedEmbeddings = true},
};

static constexpr OutsideModel kOutside[] = {
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
    {"mistral3", "a vision tower, queries scaled by position and a softmax "
                 "scale that its references disagree on"},
    {"mistral4", "queries scaled by position and a softmax scale that its "
                 "references disagree on"},
    {"mistral_large4", "another indexer, layers without positions, a shared "
                       "cache and queries scaled by position"},
    {"pangu_ultra_moe", "norms after each branch"},
    {"qwen*", "grouped-query attention"},
    {"sarvam_mla", "a router bias that is centred at load"},
    {"step3*", "another factorisation of attention"},
};

llvm::ArrayRef<ModelFamily> hadal::modelFamilies() { return kFamilies; }

llvm::ArrayRef<OutsideModel> hadal::outsideModels() { return kOutside; }

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
  for (auto [name, operators] : kOutside)
    if (name == modelType ||
        (name.ends_with("*") && modelType.starts_with(name.drop_back())))
      return operators;
  return {};
}
