// Every spelling that parseModelConfig accepts and every refusal.
#include "frontend/ModelConfig.h"
#include "frontend/Error.h"
#include "test/Paths.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
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

TEST(ModelConfig, UnknownKeysAreRefused) {
  expectError(with("colour", "blue"), 1005,
              "unknown key 'colour': it may change what the model computes; "
              "if it does not, pass --allow-unknown-keys");
  EXPECT_TRUE(parsed(with("use_cache", true)).warnings.empty());
  EXPECT_TRUE(parsed(with("colour", nullptr)).warnings.empty());
}

// One meaning, two spellings: compared by value, named as the file names them.
TEST(ModelConfig, AliasesMeanTheSame) {
  for (const char *alias :
       {"num_experts", "num_local_experts", "num_routed_experts"}) {
    json::Object object = with(alias, 16.0);
    EXPECT_EQ(parsed(object).experts, 16) << alias;
    object.erase("n_routed_experts");
    EXPECT_EQ(parsed(object).experts, 16) << alias;
    object["n_routed_experts"] = nullptr;
    EXPECT_EQ(parsed(object).experts, 16) << alias;
    expectError(with(alias, 8), 1004,
                "'n_routed_experts' is 16, but '" + std::string(alias) +
                    "', which means the same, is 8");
  }
  json::Object mtp = with("num_mtp_layers", 1);
  EXPECT_EQ(parsed(mtp).mtpLayers, 1);
  mtp["num_nextn_predict_layers"] = 2;
  expectError(std::move(mtp), 1004, "'num_nextn_predict_layers' is 2, but");
  json::Object shared = base();
  shared.erase("n_shared_experts");
  shared["num_shared_experts"] = "one";
  expectError(std::move(shared), 1003, "field 'num_shared_experts' must be");
  json::Object score = with("score_function", "sigmoid");
  score["scoring_func"] = "softmax";
  expectError(std::move(score), 1004, "'scoring_func' is \"softmax\", but");
  json::Object dtype = with("dtype", "torch.bfloat16");
  EXPECT_EQ(parsed(dtype).weights, WeightFormat::BF16);
  dtype["dtype"] = "float32";
  expectError(std::move(dtype), 1004,
              "'dtype' is \"float32\", but 'torch_dtype', which means the "
              "same, is \"bfloat16\"");
  expectError(with("q_head_dim", 128), 1004, "'q_head_dim' is 128, but");
}

TEST(ModelConfig, DerivedKeysMustAgree) {
  EXPECT_TRUE(parsed(with("moe_shared_expert_intermediate_size", 128))
                  .warnings.empty());
  expectError(with("moe_shared_expert_intermediate_size", 256), 1004,
              "'moe_shared_expert_intermediate_size' is 256, but");
  EXPECT_TRUE(parsed(with("moe_router_enable_expert_bias", true)).routerBias);
  expectError(with("moe_router_enable_expert_bias", false), 1004,
              "'moe_router_enable_expert_bias' is false, but 'topk_method' "
              "\"noaux_tc\" selects with a bias");
  json::Object v2 = with("model_type", "deepseek_v2");
  v2["n_group"] = v2["topk_group"] = 1;
  v2["router_enable_expert_bias"] = true;
  expectError(std::move(v2), 1004, "selects without a bias");
}

// A list of layers says what first_k_dense_replace does.
TEST(ModelConfig, LayersHaveTwoSpellings) {
  json::Object object =
      with("mlp_layer_types", json::Array{"dense", "sparse", "sparse"});
  EXPECT_EQ(parsed(object).denseLayers, 1);
  object.erase("first_k_dense_replace");
  EXPECT_EQ(parsed(object).denseLayers, 1);
  object["mlp_layer_types"] = json::Array{"dense", "sparse"};
  expectError(object, 1004, "'mlp_layer_types' names 2 layers");
  object["mlp_layer_types"] = json::Array{"dense", "sparse", "conv"};
  expectError(object, 1005,
              "'mlp_layer_types' holds \"conv\", which is not "
              "supported; known: dense, sparse");
  object["mlp_layer_types"] = "dense";
  expectError(object, 1003, "'mlp_layer_types' must be a list of strings");
  object["mlp_layer_types"] = json::Array{1, 2, 3};
  expectError(object, 1003,
              "'mlp_layer_types' must be a list of strings, found 1 in it");
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
  expectBad(parseModelConfig("{", "config.json"),
            "config.json: not valid JSON");
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
              1005, "'quantization_config.format' \"\"");
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

// A file of its own may stand for the quantization_config, or for the config.
TEST(ModelConfig, RefusesWhatOtherFilesAnnounce) {
  llvm::SmallString<128> directory;
  ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("config", directory));
  auto write = [&](llvm::StringRef name, llvm::StringRef text) {
    std::error_code ec;
    llvm::raw_fd_ostream os((directory + "/" + name).str(), ec);
    os << text;
  };
  auto expectBad = [&](llvm::StringRef part) {
    auto config = loadModelConfig(directory);
    ASSERT_FALSE(static_cast<bool>(config))
        << "parsed; expected " << part.str();
    std::string text = llvm::toString(config.takeError());
    EXPECT_NE(text.find(part.str()), std::string::npos) << text;
  };
  write("params.json", "{}");
  expectBad("H1005: " + (directory + "/params.json").str() +
            ": Mistral's own format is not supported: it needs queries scaled "
            "by position and a softmax scale that its references disagree on; "
            "expected a config.json");
  std::string text;
  llvm::raw_string_ostream(text) << json::Value(base());
  write("config.json", text);
  write("hf_quant_config.json",
        R"({"quantization": {"quant_algo": "NVFP4", "group_size": 16}})");
  expectBad("hf_quant_config.json: 'quantization.quant_algo' is \"NVFP4\": "
            "this quantisation is not supported; known: "
            "'quantization_config' fp8 in config.json");
  write("hf_quant_config.json",
        R"({"quantization": {"quant_algo": null,
                "kv_cache_quant_algo": "FP8"}})");
  expectBad("'quantization.kv_cache_quant_algo' is \"FP8\"");
  write("hf_quant_config.json", "{}");
  expectBad("hf_quant_config.json: has no 'quantization' object");
  write("hf_quant_config.json", "{");
  expectBad("hf_quant_config.json: not valid JSON");
  write("hf_quant_config.json", R"({"quantization": {"quant_algo": null}})");
  auto config = loadModelConfig(directory);
  EXPECT_TRUE(static_cast<bool>(config)) << llvm::toString(config.takeError());
  llvm::sys::fs::remove_directories(directory);
}

// ------------------------------------------------------- rotary embedding

TEST(ModelConfig, BothRotaryObjectsMayBeGivenIfTheyAgree) {
  json::Object object = with("rope_theta", 10000.0);
  object["rope_scaling"] = yarn();
  json::Object other{
      {"rope_type", "yarn"}, {"rope_theta", 10000},
      {"factor", 40.0},      {"mscale", 1},
      {"mscale_all_dim", 1}, {"attention_factor", 1.0},
      {"truncate", true},    {"original_max_position_embeddings", 4096.0}};
  object["rope_parameters"] = json::Object(other); // beta_*: the defaults
  EXPECT_TRUE(parsed(object).yarn.has_value());
  for (auto [key, value] :
       std::initializer_list<std::pair<const char *, json::Value>>{
           {"factor", 32},
           {"beta_fast", 1},
           {"beta_slow", 2},
           {"truncate", false},
           {"mscale_all_dim", 0.707},
           {"attention_factor", 1.1},
           {"original_max_position_"
            "embeddings",
            8192}}) {
    json::Object changed = other;
    changed[key] = value;
    object["rope_parameters"] = std::move(changed);
    expectError(object, 1004,
                "'rope_scaling' and 'rope_parameters' are both "
                "given and differ; keep one");
  }
}

TEST(ModelConfig, TheBaseMayStandInThreePlacesIfTheyAgree) {
  json::Object object = with("rope_theta", 50000);
  json::Object inner = yarn();
  inner["rope_theta"] = 50000.0;
  object["rope_scaling"] = json::Object(inner);
  inner["rope_type"] = "yarn";
  object["rope_parameters"] = json::Object(inner);
  EXPECT_EQ(parsed(object).ropeTheta, 50000);
  inner["rope_theta"] = 10000;
  object["rope_parameters"] = std::move(inner);
  expectError(std::move(object), 1004,
              "'rope_scaling.rope_theta' is 50000 but "
              "'rope_parameters.rope_theta' is 10000");
}

TEST(ModelConfig, AStretchNeedsTheTypeYarn) {
  json::Object inner{{"rope_type", "default"}, {"factor", 1.0}};
  EXPECT_FALSE(
      parsed(with("rope_parameters", json::Object(inner))).yarn.has_value());
  inner["factor"] = 40;
  expectError(with("rope_parameters", std::move(inner)), 1004,
              "'rope_parameters.factor' is 40, but a rotary embedding of type "
              "\"default\" has none; expected \"yarn\"");
}

TEST(ModelConfig, PartialRotationIsTheRotaryWidth) {
  EXPECT_TRUE(parsed(with("partial_rotary_factor", 1.0)).warnings.empty());
  json::Object object = with("partial_rotary_factor", 0.5);
  expectError(object, 1005,
              "'partial_rotary_factor' is 0.5: a rotation of a "
              "part of the 64 values of 'qk_rope_head_dim'");
  object["head_dim"] = 128;
  EXPECT_TRUE(parsed(object).warnings.empty());
  object["rope_parameters"] = json::Object{{"partial_rotary_factor", 1.0}};
  expectError(std::move(object), 1004,
              "'partial_rotary_factor' is 0.5 but "
              "'rope_parameters.partial_rotary_factor' is 1");
}

// ------------------------------------------------------- families

// What a file leaves out is what the reference class has.
TEST(ModelConfig, DefaultsAreOfTheModelType) {
  auto plain = [](const char *type) {
    json::Object object = with("model_type", type);
    for (const char *key : {"n_group", "topk_group", "first_k_dense_replace"})
      object.erase(key);
    object["num_hidden_layers"] = 8;
    object["num_experts_per_tok"] = 2;
    return object;
  };
  ModelConfig v2 = parsed(plain("deepseek_v2"));
  EXPECT_EQ(v2.groups, 1);
  EXPECT_EQ(v2.denseLayers, 0);
  EXPECT_EQ(v2.routeScale, 1);
  ModelConfig v3 = parsed(plain("deepseek_v3"));
  EXPECT_EQ(v3.groups, 8);
  EXPECT_EQ(v3.topGroups, 4);
  EXPECT_EQ(v3.denseLayers, 3);
  EXPECT_EQ(v3.routeScale, 2.5);
  EXPECT_EQ(v3.normEps, 1e-6);
  ModelConfig glm = parsed(plain("glm4_moe_lite"));
  EXPECT_TRUE(glm.sigmoid && glm.routerBias && glm.renormalize);
  EXPECT_EQ(glm.groups, 1);
  EXPECT_EQ(glm.denseLayers, 1);
  EXPECT_EQ(glm.routeScale, 1.8);
  EXPECT_EQ(glm.normEps, 1e-5);
  EXPECT_EQ(glm.innerNormEps, 1e-6);
  json::Object object = plain("youtu");
  for (const char *key : {"n_routed_experts", "num_experts_per_tok",
                          "moe_intermediate_size", "n_shared_experts"})
    object.erase(key);
  ModelConfig youtu = parsed(std::move(object));
  EXPECT_TRUE(youtu.tiedEmbeddings);
  EXPECT_EQ(youtu.numMoeLayers(), 0);
  EXPECT_FALSE(v3.tiedEmbeddings);
}

TEST(ModelConfig, HeadDimMeansNothingInGlm5) {
  expectError(with("head_dim", 96), 1004, "'head_dim' 96 is neither");
  json::Object glm = with("model_type", "glm_moe_dsa");
  glm["head_dim"] = 96;
  EXPECT_TRUE(parsed(std::move(glm)).warnings.empty());
}

TEST(ModelConfig, AnIndexerBoundsTheLength) {
  json::Object object = with("model_type", "deepseek_v32");
  object["index_topk"] = 32;
  ModelConfig c = parsed(object);
  EXPECT_EQ(c.indexTopk, 32);
  EXPECT_EQ(c.fullIndexers, std::vector<bool>(3, true));
  EXPECT_FALSE(static_cast<bool>(checkMaxSeqLen(c, 32)));
  EXPECT_EQ(llvm::toString(checkMaxSeqLen(c, 33)),
            "H1005: the sparse attention indexer is not supported; up to "
            "'index_topk' 32 tokens the model is exact without it: expected "
            "--max-seq-len=32 or less, found 33");
  EXPECT_FALSE(static_cast<bool>(checkMaxSeqLen(parsed(base()), 1 << 20)));
  object["q_lora_rank"] = nullptr;
  expectError(std::move(object), 1004, "'q_lora_rank' is absent or 0");
}

TEST(ModelConfig, LayersWithAnIndexerHaveThreeSpellings) {
  json::Object object = with("model_type", "glm_moe_dsa");
  object["num_hidden_layers"] = 7;
  std::vector<bool> full{true, true, true, false, false, false, true};
  object["index_topk_freq"] = 4;
  object["index_skip_topk_offset"] = 3;
  EXPECT_EQ(parsed(object).fullIndexers, full);
  object["index_topk_pattern"] = "FFFSSSF";
  object["indexer_types"] =
      json::Array{"full", "full", "full", "shared", "shared", "shared", "full"};
  EXPECT_EQ(parsed(object).fullIndexers, full);
  object.erase("index_topk_freq");
  EXPECT_EQ(parsed(object).fullIndexers, full);
  object["index_topk_pattern"] = "FFFFSSF";
  expectError(object, 1004,
              "'indexer_types' and 'index_topk_pattern' differ "
              "on which layers have an indexer");
  object.erase("indexer_types");
  object["index_topk_pattern"] = "FFX";
  expectError(object, 1003, "'index_topk_pattern' must be a string of F and S");
  object["index_topk_pattern"] = "FFF";
  expectError(object, 1004, "'index_topk_pattern' names 3 layers");
  object["index_topk_pattern"] = "SFFFFFF";
  expectError(object, 1004, "'index_topk_pattern' says that layer 0 shares");
}

TEST(ModelConfig, DeepseeksOwnSpellingOfV32) {
  json::Object object{{"dim", 2048},           {"index_n_heads", 64},
                      {"index_head_dim", 128}, {"index_topk", 2048},
                      {"q_lora_rank", 1536},   {"score_func", "sigmoid"}};
  ModelConfig c = parsed(std::move(object));
  EXPECT_EQ(c.modelType, "deepseek_v32");
  EXPECT_EQ(c.indexTopk, 2048);
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
        Expected{"deepseek-v3.2", 61, 256, WeightFormat::FP8},
        Expected{"gigachat3-10b", 26, 64, WeightFormat::BF16},
        Expected{"gigachat3-702b", 64, 256, WeightFormat::FP8},
        Expected{"glm-4.7-flash", 47, 64, WeightFormat::BF16},
        Expected{"glm-5", 78, 256, WeightFormat::BF16},
        Expected{"glm-5.2", 78, 256, WeightFormat::BF16},
        Expected{"kimi-k2", 61, 384, WeightFormat::FP8},
        Expected{"kimi-k2-thinking", 61, 384, WeightFormat::INT4},
        Expected{"kimi-k2.5", 61, 384, WeightFormat::INT4},
        Expected{"kimi-k2.6", 61, 384, WeightFormat::INT4},
        Expected{"moonlight-16b", 27, 64, WeightFormat::BF16},
        Expected{"youtu-llm-2b", 32, 0, WeightFormat::BF16}}) {
    auto c =
        loadModelConfig(std::string(HADAL_SOURCE_DIR "/models/") + e.model);
    ASSERT_TRUE(static_cast<bool>(c)) << llvm::toString(c.takeError());
    EXPECT_EQ(c->layers, e.layers) << e.model;
    EXPECT_EQ(c->experts, e.experts) << e.model;
    EXPECT_EQ(c->weights, e.weights) << e.model;
    EXPECT_TRUE(c->warnings.empty()) << e.model << ": " << c->warnings[0];
    EXPECT_EQ(c->ue8m0Activations,
              llvm::StringRef(e.model).starts_with("deepseek-v3."));
  }
}

// What K2's `ignore` leaves as it is, inside a multi-modal model and alone.
TEST(ModelConfig, SaysWhichModulesArePacked) {
  for (const char *model : {"kimi-k2-thinking", "kimi-k2.5", "kimi-k2.6"}) {
    SCOPED_TRACE(model);
    auto c = loadModelConfig(std::string(HADAL_SOURCE_DIR "/models/") + model);
    ASSERT_TRUE(static_cast<bool>(c)) << llvm::toString(c.takeError());
    std::string mlp = "model.layers.1.mlp.";
    EXPECT_TRUE(c->isPacked(mlp + "experts.0.gate_proj"));
    EXPECT_TRUE(c->isPacked(mlp + "experts.383.down_proj"));
    EXPECT_FALSE(c->isPacked(mlp + "shared_experts.gate_proj"));
    EXPECT_FALSE(c->isPacked("model.layers.0.mlp.up_proj"));
    EXPECT_FALSE(c->isPacked("model.layers.1.self_attn.o_proj"));
    EXPECT_FALSE(c->isPacked("lm_head"));
    bool isWrapped = llvm::StringRef(model).starts_with("kimi-k2.");
    EXPECT_EQ(c->tensorPrefix, isWrapped ? "language_model." : "");
    EXPECT_EQ(c->mediaToken, isWrapped ? 163605 : -1);
    EXPECT_EQ(c->modelType, isWrapped ? "kimi_k25" : "kimi_k2");
    // model-spec 2.8.
    EXPECT_NEAR(c->softmaxScale(), 0.1446796, 1e-7);
  }
}

} // namespace
