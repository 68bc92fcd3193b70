// Every spelling that parseModelConfig accepts and every refusal.
#include "frontend/ModelConfig.h"
#include "frontend/Error.h"
#include "test/Paths.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

using namespace hadal;
namespace json = llvm::json;

namespace {

/// A small configuration that parses; tests change one field at a time.
json::Object base() {
  return json::Object{{"model_type", "deepseek_v3"},
                      {"vocab_size", 512},
                      {"hidden_size", 256},
                      {"intermediate_size", 512},
                      {"moe_intermediate_size", 128},
                      {"num_hidden_layers", 3},
                      {"first_k_dense_replace", 1},
                      {"num_attention_heads", 4},
                      {"q_lora_rank", 128},
                      {"kv_lora_rank", 128},
                      {"qk_nope_head_dim", 128},
                      {"qk_rope_head_dim", 64},
                      {"v_head_dim", 128},
                      {"n_routed_experts", 16},
                      {"num_experts_per_tok", 4},
                      {"n_shared_experts", 1},
                      {"n_group", 4},
                      {"topk_group", 2},
                      {"rope_theta", 10000},
                      {"torch_dtype", "bfloat16"}};
}

json::Object yarn() {
  return json::Object{{"type", "yarn"},
                      {"factor", 40},
                      {"original_max_position_embeddings", 4096},
                      {"beta_fast", 32},
                      {"beta_slow", 1},
                      {"mscale", 1.0},
                      {"mscale_all_dim", 1.0}};
}

llvm::Expected<ModelConfig> parse(json::Object object) {
  std::string text;
  llvm::raw_string_ostream(text) << json::Value(std::move(object));
  return parseModelConfig(text, "config.json");
}

ModelConfig parsed(json::Object object) {
  auto config = parse(std::move(object));
  if (!config) {
    ADD_FAILURE() << llvm::toString(config.takeError());
    return {};
  }
  return *config;
}

/// Expects error |code| with |part| in its message.
void expectError(json::Object object, int code, llvm::StringRef part) {
  auto config = parse(std::move(object));
  ASSERT_FALSE(static_cast<bool>(config)) << "parsed; expected " << part.str();
  llvm::handleAllErrors(config.takeError(), [&](const CodedError &e) {
    std::string text;
    llvm::raw_string_ostream os(text);
    e.log(os);
    EXPECT_EQ(e.getCode(), code) << text;
    EXPECT_NE(text.find(part.str()), std::string::npos) << text;
    EXPECT_NE(text.find("config.json: "), std::string::npos) << text;
  });
}

/// base() with one field replaced.
json::Object with(llvm::StringRef key, json::Value value) {
  json::Object object = base();
  object[key] = std::move(value);
  return object;
}

TEST(ModelConfig, ReadsTheHfSpelling) {
  json::Object object = base();
  object["rope_scaling"] = yarn();
  ModelConfig c = parsed(std::move(object));
  EXPECT_EQ(c.hidden, 256);
  EXPECT_EQ(c.headWidth(), 192);
  EXPECT_EQ(c.numMoeLayers(), 2);
  EXPECT_FALSE(c.isMoe(0));
  EXPECT_TRUE(c.isMoe(1));
  EXPECT_TRUE(c.sigmoid && c.routerBias && c.groupTop2 && c.renormalize);
  EXPECT_EQ(c.weights, WeightFormat::BF16);
  EXPECT_TRUE(c.warnings.empty());
}

// Recent transformers write rope_parameters with rope_theta and rope_type.
TEST(ModelConfig, RopeParametersMeanTheSameAsRopeScaling) {
  json::Object oldSpelling = with("rope_theta", 50000.0);
  oldSpelling["rope_scaling"] = yarn();
  json::Object inner = yarn();
  inner.erase("type");
  inner["rope_type"] = "yarn";
  inner["rope_theta"] = 50000.0;
  json::Object newSpelling = base();
  newSpelling.erase("rope_theta");
  newSpelling["rope_parameters"] = std::move(inner);
  ModelConfig a = parsed(std::move(oldSpelling));
  ModelConfig b = parsed(std::move(newSpelling));
  EXPECT_EQ(a.invFreq(), b.invFreq());
  EXPECT_EQ(a.softmaxScale(), b.softmaxScale());
}

TEST(ModelConfig, ReadsDeepseeksOwnSpelling) {
  json::Object object{{"vocab_size", 129280},    {"dim", 7168},
                      {"inter_dim", 18432},      {"moe_inter_dim", 2048},
                      {"n_layers", 61},          {"n_dense_layers", 3},
                      {"n_heads", 128},          {"n_routed_experts", 256},
                      {"n_shared_experts", 1},   {"n_activated_experts", 8},
                      {"n_expert_groups", 8},    {"n_limited_groups", 4},
                      {"route_scale", 2.5},      {"score_func", "sigmoid"},
                      {"q_lora_rank", 1536},     {"kv_lora_rank", 512},
                      {"qk_nope_head_dim", 128}, {"qk_rope_head_dim", 64},
                      {"v_head_dim", 128},       {"dtype", "fp8"},
                      {"scale_fmt", "ue8m0"}};
  ModelConfig c = parsed(std::move(object));
  EXPECT_EQ(c.hidden, 7168);
  EXPECT_EQ(c.denseLayers, 3);
  EXPECT_EQ(c.topK, 8);
  EXPECT_EQ(c.groups, 8);
  EXPECT_EQ(c.topGroups, 4);
  EXPECT_TRUE(c.routerBias && c.renormalize);
  EXPECT_EQ(c.weights, WeightFormat::FP8);
  EXPECT_TRUE(c.ue8m0Activations);
  EXPECT_NEAR(c.softmaxScale(), 0.1352337789, 1e-10);
}

// The defaults of ModelArgs are those of the 16B model.
TEST(ModelConfig, DeepseeksOwnSpellingHasModelArgsDefaults) {
  ModelConfig c = parsed(json::Object{{"dim", 2048}, {"mscale", 0.707}});
  EXPECT_EQ(c.layers, 27);
  EXPECT_EQ(c.qLoraRank, 0);
  EXPECT_EQ(c.experts, 64);
  EXPECT_FALSE(c.sigmoid || c.routerBias || c.renormalize);
  EXPECT_NEAR(c.softmaxScale(), 0.1147213868, 1e-10);
}

// Gotcha 38: the inner norms keep 1e-6 whatever rms_norm_eps says.
TEST(ModelConfig, InnerNormEpsIsIndependent) {
  ModelConfig c = parsed(with("rms_norm_eps", 1e-5));
  EXPECT_EQ(c.normEps, 1e-5);
  EXPECT_EQ(c.innerNormEps, 1e-6);
}

TEST(ModelConfig, ReadsFp8) {
  ModelConfig c =
      parsed(with("quantization_config",
                  json::Object{{"quant_method", "fp8"},
                               {"fmt", "e4m3"},
                               {"activation_scheme", "dynamic"},
                               {"weight_block_size", json::Array{128, 128}}}));
  EXPECT_EQ(c.weights, WeightFormat::FP8);
  EXPECT_FALSE(c.ue8m0Activations);
}

TEST(ModelConfig, V2RouterIsSoftmaxWithoutBias) {
  json::Object object = with("model_type", "deepseek_v2");
  object["topk_method"] = "group_limited_greedy";
  ModelConfig c = parsed(std::move(object));
  EXPECT_FALSE(c.sigmoid || c.routerBias || c.groupTop2 || c.renormalize);
  EXPECT_EQ(c.groups, 4);
}

// "greedy" looks at no groups, as the reference.
TEST(ModelConfig, GreedyIgnoresGroups) {
  json::Object object = with("model_type", "deepseek_v2");
  object["topk_method"] = "greedy";
  EXPECT_EQ(parsed(std::move(object)).groups, 1);
}

TEST(ModelConfig, DenseOnlyModelsNeedNoRouterFields) {
  json::Object object = base();
  for (const char *key : {"num_experts_per_tok", "moe_intermediate_size",
                          "n_group", "topk_group", "n_shared_experts"})
    object.erase(key);
  object["n_routed_experts"] = nullptr;
  EXPECT_EQ(parsed(std::move(object)).numMoeLayers(), 0);
}

TEST(ModelConfig, UnknownKeysAreOneWarningEach) {
  json::Object object = with("colour", "blue");
  object["use_cache"] = true; // ignorable: no warning
  ModelConfig c = parsed(std::move(object));
  ASSERT_EQ(c.warnings.size(), 1u);
  EXPECT_EQ(c.warnings[0], "unknown key 'colour' is ignored");
}

TEST(ModelConfig, AnEosListIsKept) {
  ModelConfig c = parsed(with("eos_token_id", json::Array{1, 2}));
  EXPECT_EQ(c.eosTokens, (std::vector<int64_t>{1, 2}));
}

TEST(ModelConfig, RefusesWhatIsNotJson) {
  auto expectBad = [](llvm::Expected<ModelConfig> config, const char *part) {
    ASSERT_FALSE(static_cast<bool>(config)) << "parsed; expected " << part;
    std::string text = llvm::toString(config.takeError());
    EXPECT_NE(text.find("H1001"), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expectBad(parseModelConfig("{", "config.json"), "config.json: not valid JSON");
  expectBad(parseModelConfig("[]", "config.json"),
            "config.json: must hold a JSON object");
  expectBad(loadModelConfig("/nonexistent"),
            "/nonexistent: cannot be read: No such file or directory; a model "
            "directory holds a config.json");
}

TEST(ModelConfig, RefusesMissingFields) {
  for (const char *key :
       {"model_type", "vocab_size", "hidden_size", "num_hidden_layers",
        "num_attention_heads", "kv_lora_rank", "qk_nope_head_dim",
        "qk_rope_head_dim", "v_head_dim", "num_experts_per_tok",
        "moe_intermediate_size", "intermediate_size"}) {
    json::Object object = base();
    object.erase(key);
    expectError(std::move(object), 1002, "'" + std::string(key) + "'");
  }
}

TEST(ModelConfig, RefusesWrongTypesAndRanges) {
  expectError(with("hidden_size", "wide"), 1003, "'hidden_size'");
  expectError(with("hidden_size", 0), 1003, "'hidden_size'");
  expectError(with("hidden_size", 1.5), 1003, "found 1.5");
  expectError(with("vocab_size", -1), 1003, "'vocab_size'");
  expectError(with("v_head_dim", 0), 1003, "'v_head_dim'");
  expectError(with("qk_nope_head_dim", -128), 1003, "'qk_nope_head_dim'");
  expectError(with("num_hidden_layers", int64_t(1) << 40), 1003,
              "'num_hidden_layers'");
  expectError(with("norm_topk_prob", 1), 1003, "'norm_topk_prob'");
  expectError(with("rope_scaling", "yarn"), 1003, "'rope_scaling'");
  expectError(with("eos_token_id", json::Array{"x"}), 1003, "'eos_token_id'");
  json::Object inner = yarn();
  inner["factor"] = -1;
  expectError(with("rope_scaling", std::move(inner)), 1003,
              "'rope_scaling.factor'");
}

TEST(ModelConfig, RefusesAnotherDtypeInDeepseeksSpelling) {
  expectError(json::Object{{"dim", 7168}, {"dtype", "int4"}}, 1005,
              "'dtype' must be \"bf16\" or \"fp8\"");
}

TEST(ModelConfig, RefusesContradictions) {
  expectError(with("num_experts_per_tok", 9), 1004, "num_experts_per_tok");
  expectError(with("n_group", 3), 1004, "does not divide");
  expectError(with("topk_group", 5), 1004, "'topk_group' 5 exceeds");
  expectError(with("qk_rope_head_dim", 63), 1004, "odd");
  expectError(with("num_key_value_heads", 2), 1004, "'num_key_value_heads'");
  expectError(with("qk_head_dim", 128), 1004, "'qk_head_dim'");
  expectError(with("eos_token_id", 512), 1004, "'eos_token_id' 512");
  json::Object lonely = with("n_group", 16);
  lonely["num_experts_per_tok"] = 2;
  expectError(std::move(lonely), 1004, "two best");
  json::Object inner = yarn();
  inner["rope_theta"] = 5000.0;
  expectError(with("rope_parameters", std::move(inner)), 1004, "rope_theta");
  inner = yarn();
  inner["rope_type"] = "default";
  expectError(with("rope_scaling", std::move(inner)), 1004, "rope_type");
  json::Object both = with("rope_scaling", yarn());
  both["rope_parameters"] = json::Object{{"rope_type", "default"}};
  expectError(std::move(both), 1004, "differ");
}

// What another graph would be needed for is refused by the field's name.
TEST(ModelConfig, RefusesUnsupportedFeaturesByName) {
  for (const char *key : {"index_n_heads", "index_head_dim", "index_topk",
                          "o_groups", "hc_mult", "sliding_window"})
    expectError(with(key, 64), 1005, "'" + std::string(key) + "'");
  expectError(with("compress_ratios", json::Array{4, 128}), 1005,
              "'compress_ratios'");
  expectError(with("model_type", "llama"), 1005, "'model_type' \"llama\"");
  expectError(with("hidden_act", "gelu"), 1005, "'hidden_act'");
  expectError(with("attention_bias", true), 1005, "'attention_bias'");
  expectError(with("mlp_bias", true), 1005, "'mlp_bias'");
  expectError(with("rope_interleave", false), 1005, "'rope_interleave'");
  expectError(with("torch_dtype", "float16"), 1005, "'torch_dtype'");
  expectError(with("topk_method", "random"), 1005, "'topk_method'");
  expectError(with("scoring_func", "tanh"), 1005, "'scoring_func'");
  expectError(
      with("rope_scaling", json::Object{{"type", "linear"}, {"factor", 2}}),
      1005, "'rope_scaling.type' \"linear\"");
  json::Object v2 = with("model_type", "deepseek_v2");
  v2["norm_topk_prob"] = true;
  expectError(std::move(v2), 1005, "'norm_topk_prob'");
}

TEST(ModelConfig, RefusesOtherQuantisations) {
  auto quantized = [](json::Object q) {
    return with("quantization_config", std::move(q));
  };
  expectError(quantized(json::Object{{"quant_method", "compressed-tensors"}}),
              1005,
              "'quantization_config.quant_method' \"compressed-tensors\"");
  expectError(quantized(json::Object{{"quant_method", "fp8"}}), 1005,
              "'quantization_config.weight_block_size'");
  expectError(
      quantized(json::Object{{"quant_method", "fp8"},
                             {"weight_block_size", json::Array{64, 128}}}),
      1005, "'quantization_config.weight_block_size'");
  expectError(quantized(json::Object{{"quant_method", "fp8"}, {"fmt", "e5m2"}}),
              1005, "'quantization_config.fmt'");
  expectError(quantized(json::Object{{"quant_method", "fp8"},
                                     {"activation_scheme", "static"}}),
              1005, "'quantization_config.activation_scheme'");
  expectError(
      quantized(json::Object{{"quant_method", "fp8"}, {"scale_fmt", "e8m3"}}),
      1005, "'quantization_config.scale_fmt'");
}

TEST(ModelConfig, ReadsEveryShippedConfiguration) {
  struct Expected {
    const char *model;
    int64_t layers, experts;
    WeightFormat weights;
  };
  for (const Expected &e :
       {Expected{"deepseek-v3", 61, 256, WeightFormat::FP8},
        Expected{"deepseek-v3.1", 61, 256, WeightFormat::FP8},
        Expected{"deepseek-v2", 60, 160, WeightFormat::BF16},
        Expected{"deepseek-v2-lite", 27, 64, WeightFormat::BF16},
        Expected{"kimi-k2", 61, 384, WeightFormat::FP8}}) {
    auto c =
        loadModelConfig(std::string(HADAL_SOURCE_DIR "/models/") + e.model);
    ASSERT_TRUE(static_cast<bool>(c)) << llvm::toString(c.takeError());
    EXPECT_EQ(c->layers, e.layers) << e.model;
    EXPECT_EQ(c->experts, e.experts) << e.model;
    EXPECT_EQ(c->weights, e.weights) << e.model;
    EXPECT_TRUE(c->warnings.empty()) << e.model << ": " << c->warnings[0];
    EXPECT_EQ(c->ue8m0Activations, e.model == std::string("deepseek-v3.1"));
  }
}

} // namespace
