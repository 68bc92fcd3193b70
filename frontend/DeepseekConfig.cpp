// DeepSeek's own inference/configs/*.json -> HF field names (model-spec 1.1).
#include "frontend/Error.h"
#include "frontend/ModelConfig.h"

using namespace hadal;
using llvm::StringRef;
namespace json = llvm::json;

namespace {

struct Rename {
  llvm::StringLiteral deepseek, hf;
  /// Default of ModelArgs, which the files leave out.
  int64_t fallback;
};

const Rename kIntegers[] = {{"vocab_size", "vocab_size", 102400},
                            {"dim", "hidden_size", 2048},
                            {"inter_dim", "intermediate_size", 10944},
                            {"moe_inter_dim", "moe_intermediate_size", 1408},
                            {"n_layers", "num_hidden_layers", 27},
                            {"n_dense_layers", "first_k_dense_replace", 1},
                            {"n_heads", "num_attention_heads", 16},
                            {"n_routed_experts", "n_routed_experts", 64},
                            {"n_shared_experts", "n_shared_experts", 2},
                            {"n_activated_experts", "num_experts_per_tok", 6},
                            {"n_expert_groups", "n_group", 1},
                            {"n_limited_groups", "topk_group", 1},
                            {"q_lora_rank", "q_lora_rank", 0},
                            {"kv_lora_rank", "kv_lora_rank", 512},
                            {"qk_nope_head_dim", "qk_nope_head_dim", 128},
                            {"qk_rope_head_dim", "qk_rope_head_dim", 64},
                            {"v_head_dim", "v_head_dim", 128}};

} // namespace

llvm::Expected<json::Object> hadal::normalizeDeepseekConfig(json::Object object,
                                                            StringRef origin) {
  if (object.get("model_type") || object.get("hidden_size") ||
      !object.get("dim"))
    return object;

  // Moves a field out of |object|, so that what stays is unknown or common.
  auto take = [&](StringRef key, json::Value fallback) {
    json::Value *found = object.get(key);
    json::Value out = found ? std::move(*found) : std::move(fallback);
    object.erase(key);
    return out;
  };
  json::Object hf;
  for (const Rename &r : kIntegers)
    hf[r.hf] = take(r.deepseek, r.fallback);
  json::Value score = take("score_func", "softmax");
  bool sigmoid = score.getAsString() == StringRef("sigmoid");
  bool grouped = hf.getInteger("n_group").value_or(1) > 1;
  hf["model_type"] = object.get("index_topk") ? "deepseek_v32"
                     : sigmoid                ? "deepseek_v3"
                                              : "deepseek_v2";
  hf["scoring_func"] = std::move(score);
  // ModelArgs has no such fields: renormalisation follows the score function,
  // and the selection bias is a property of the noaux_tc models.
  hf["norm_topk_prob"] = sigmoid;
  hf["topk_method"] =
      sigmoid ? "noaux_tc" : (grouped ? "group_limited_greedy" : "greedy");
  hf["routed_scaling_factor"] = take("route_scale", 1.0);
  hf["rope_theta"] = take("rope_theta", 10000.0);
  // YaRN belongs to the model whatever max_seq_len a runtime chooses (2.8).
  json::Value mscale = take("mscale", 1.0);
  hf["rope_scaling"] = json::Object{
      {"type", "yarn"},
      {"factor", take("rope_factor", 40.0)},
      {"original_max_position_embeddings", take("original_seq_len", 4096)},
      {"beta_fast", take("beta_fast", 32)},
      {"beta_slow", take("beta_slow", 1)},
      {"mscale", mscale},
      {"mscale_all_dim", mscale}};
  json::Value dtype = take("dtype", "bf16");
  json::Value scaleFormat = take("scale_fmt", nullptr);
  if (dtype.getAsString() == StringRef("fp8")) {
    json::Object quantization{{"quant_method", "fp8"},
                              {"weight_block_size", json::Array{128, 128}}};
    if (scaleFormat.kind() != json::Value::Null)
      quantization["scale_fmt"] = std::move(scaleFormat);
    hf["quantization_config"] = std::move(quantization);
  } else if (dtype.getAsString() != StringRef("bf16")) {
    return makeError(1005, "{0}: 'dtype' must be \"bf16\" or \"fp8\"", origin);
  }
  for (auto &rest : object)
    hf.try_emplace(rest.first, std::move(rest.second));
  return hf;
}
