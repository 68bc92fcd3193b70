// HF config.json -> ModelConfig, with every refusal.
#include "frontend/ModelConfig.h"
#include "frontend/Error.h"
#include "frontend/Json.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace hadal;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
namespace json = llvm::json;

namespace {

/// Keys that change nothing of the graph at inference.
const llvm::StringLiteral kIgnorable[] = {"_name_or_path",
                                          "architectures",
                                          "attention_dropout",
                                          "auto_map",
                                          "aux_loss_alpha",
                                          "chunk_size_feed_forward",
                                          "dtype",
                                          "ep_size",
                                          "generation_config",
                                          "id2label",
                                          "initializer_range",
                                          "is_encoder_decoder",
                                          "label2id",
                                          "max_position_embeddings",
                                          "max_batch_size",
                                          "max_seq_len",

                                          "output_attentions",
                                          "output_hidden_states",
                                          "output_router_logits",
                                          "pad_token_id",
                                          "pretraining_tp",
                                          "problem_type",
                                          "return_dict",
                                          "router_aux_loss_coef",
                                          "seq_aux",
                                          "torch_dtype",
                                          "transformers_version",
                                          "unsloth_fixed",
                                          "use_cache"};

/// Fields of models outside this graph, refused by name whatever their value
/// unless it is null.
struct Refused {
  llvm::StringLiteral key, why;
};
const Refused kRefused[] = {
    {"index_n_heads", "the sparse attention indexer of DeepSeek-V3.2"},
    {"index_head_dim", "the sparse attention indexer of DeepSeek-V3.2"},
    {"index_topk", "the sparse attention indexer of DeepSeek-V3.2"},
    {"compress_ratios", "the compressed attention of DeepSeek-V4"},
    {"compress_rope_theta", "the compressed attention of DeepSeek-V4"},
    {"o_groups", "the grouped output projection of DeepSeek-V4"},
    {"o_lora_rank", "the grouped output projection of DeepSeek-V4"},
    {"hc_mult", "the hyper-connections of DeepSeek-V4"},
    {"hc_sinkhorn_iters", "the hyper-connections of DeepSeek-V4"},
    {"n_hash_layers", "the hash routing of DeepSeek-V4"},
    {"num_hash_layers", "the hash routing of DeepSeek-V4"},
    {"swiglu_limit", "the clamped SwiGLU of DeepSeek-V4"},
    {"sliding_window", "sliding window attention"},
    {"expert_dtype", "FP4 experts"},
    {"vision_config", "a vision tower"},
    {"text_config", "a multi-modal model"}};

/// The first error of a configuration; later ones are often its echo.
struct FirstError {
  int code = 0;
  std::string message;
};

/// Reads the fields of one JSON object and remembers which it read.
class Fields {
public:
  Fields(const json::Object &object, FirstError &error, StringRef prefix = "")
      : object(object), error(error), prefix(prefix) {}

  bool has(StringRef key) {
    known.insert(key);
    const json::Value *v = object.get(key);
    return v && v->kind() != json::Value::Null;
  }

  /// An integer in [low, high]; |fallback| where absent or null, H1002 without.
  int64_t integer(StringRef key, std::optional<int64_t> fallback, int64_t low,
                  int64_t high = int64_t(1) << 31) {
    if (!has(key)) {
      if (!fallback)
        missing(key);
      return fallback.value_or(low);
    }
    std::optional<int64_t> v = object.get(key)->getAsInteger();
    if (!v || *v < low || *v > high) {
      wrong(key, llvm::formatv("an integer from {0} to {1}", low, high).str());
      return low;
    }
    return *v;
  }

  double number(StringRef key, std::optional<double> fallback, double low,
                double high) {
    if (!has(key)) {
      if (!fallback)
        missing(key);
      return fallback.value_or(low);
    }
    std::optional<double> v = object.get(key)->getAsNumber();
    if (!v || !(*v >= low && *v <= high)) {
      wrong(key, llvm::formatv("a number from {0} to {1}", low, high).str());
      return low;
    }
    return *v;
  }

  bool boolean(StringRef key, bool fallback) {
    if (!has(key))
      return fallback;
    std::optional<bool> v = object.get(key)->getAsBoolean();
    if (!v)
      wrong(key, "true or false");
    return v.value_or(fallback);
  }

  std::string string(StringRef key, StringRef fallback) {
    if (!has(key))
      return fallback.str();
    std::optional<StringRef> v = object.get(key)->getAsString();
    if (!v)
      wrong(key, "a string");
    return v.value_or(fallback).str();
  }

  const json::Object *child(StringRef key) {
    if (!has(key))
      return nullptr;
    const json::Object *v = object.get(key)->getAsObject();
    if (!v)
      wrong(key, "an object");
    return v;
  }

  template <typename... Args>
  void fail(int code, const char *format, Args &&...args) {
    if (error.code)
      return;
    error.code = code;
    error.message = llvm::formatv(format, std::forward<Args>(args)...).str();
  }

  std::string name(StringRef key) const { return (prefix + key).str(); }

  /// Keys that nobody asked for.
  std::vector<std::string> unknown() const {
    std::vector<std::string> out;
    for (const auto &entry : object) {
      StringRef key = entry.first;
      if (!known.contains(key) && !llvm::is_contained(kIgnorable, key))
        out.push_back(name(key));
    }
    llvm::sort(out);
    return out;
  }

private:
  void missing(StringRef key) {
    fail(1002, "required field '{0}' is missing", name(key));
  }
  void wrong(StringRef key, StringRef expected) {
    std::string found;
    llvm::raw_string_ostream(found) << *object.get(key);
    fail(1003, "field '{0}' must be {1}, found {2}", name(key), expected,
         found);
  }

  const json::Object &object;
  FirstError &error;
  std::string prefix;
  llvm::StringSet<> known;
};

constexpr double kHuge = 1e12;

/// Rotary embedding, from `rope_scaling` + `rope_theta` or `rope_parameters`.
void parseRope(Fields &f, ModelConfig &c, FirstError &error) {
  bool theta = f.has("rope_theta");
  c.ropeTheta = f.number("rope_theta", 10000.0, 1.0001, kHuge);
  const json::Object *scaling = f.child("rope_scaling");
  const json::Object *parameters = f.child("rope_parameters");
  if (scaling && parameters && *scaling != *parameters)
    return f.fail(1004, "both 'rope_scaling' and 'rope_parameters' are given "
                        "and differ; keep one");
  StringRef where = parameters ? "rope_parameters" : "rope_scaling";
  const json::Object *object = parameters ? parameters : scaling;
  if (!f.boolean("rope_interleave", true))
    f.fail(1005, "'rope_interleave' is false (rotary rows already permuted), "
                 "which is not supported; use the original checkpoint layout");
  if (!object)
    return;
  Fields r(*object, error, (where + ".").str());
  if (r.has("rope_theta")) {
    double inner = r.number("rope_theta", std::nullopt, 1.0001, kHuge);
    if (theta && inner != c.ropeTheta)
      r.fail(1004, "'rope_theta' is {0} but '{1}.rope_theta' is {2}",
             c.ropeTheta, where, inner);
    c.ropeTheta = inner;
  }
  std::string type = r.string("rope_type", "");
  std::string old = r.string("type", type);
  if (!type.empty() && type != old)
    r.fail(1004, "'{0}.rope_type' is \"{1}\" but '{0}.type' is \"{2}\"", where,
           type, old);
  type = old.empty() ? "default" : old;
  if (r.has("partial_rotary_factor") &&
      r.number("partial_rotary_factor", 1.0, 0, 1) != 1)
    r.fail(1005, "'{0}.partial_rotary_factor' other than 1 is not supported",
           where);
  if (type == "yarn") {
    YarnConfig y;
    y.originalLength =
        r.integer("original_max_position_embeddings", std::nullopt, 1);
    if (r.has("factor"))
      y.factor = r.number("factor", std::nullopt, 1e-3, 1e6);
    else // As HF: the ratio of the lengths.
      y.factor = f.integer("max_position_embeddings", std::nullopt, 1) /
                 static_cast<double>(y.originalLength);
    // HF reads zero as "not given".
    auto orDefault = [](double v, double d) { return v == 0 ? d : v; };
    y.betaFast = orDefault(r.number("beta_fast", 32.0, 0, 1e6), 32);
    y.betaSlow = orDefault(r.number("beta_slow", 1.0, 0, 1e6), 1);
    y.mscale = r.number("mscale", 0.0, 0, 1e3);
    y.mscaleAllDim = r.number("mscale_all_dim", 0.0, 0, 1e3);
    if (r.has("attention_factor"))
      y.attentionFactor = r.number("attention_factor", std::nullopt, 1e-6, 1e6);
    y.truncate = r.boolean("truncate", true);
    c.yarn = y;
  } else if (type != "default") {
    r.fail(1005, "'{0}.type' \"{1}\" is not supported; known: default, yarn",
           where, type);
  }
  for (const std::string &key : r.unknown())
    c.warnings.push_back("unknown key '" + key + "' is ignored");
}

/// Weight storage, from `quantization_config` or the dtype.
void parseWeights(Fields &f, ModelConfig &c, FirstError &error) {
  std::string dtype = f.string("torch_dtype", f.string("dtype", "bfloat16"));
  StringRef bare = StringRef(dtype);
  bare.consume_front("torch.");
  if (bare == "bfloat16")
    c.weights = WeightFormat::BF16;
  else if (bare == "float32")
    c.weights = WeightFormat::F32;
  else
    f.fail(1005,
           "'torch_dtype' \"{0}\" is not supported; known: bfloat16, "
           "float32",
           dtype);
  const json::Object *object = f.child("quantization_config");
  if (!object)
    return;
  Fields q(*object, error, "quantization_config.");
  std::string method = q.string("quant_method", "");
  if (method != "fp8")
    return q.fail(1005,
                  "'quantization_config.quant_method' \"{0}\" is not "
                  "supported; known: fp8 (e4m3, 128x128 blocks)",
                  method);
  std::string fmt = q.string("fmt", "e4m3");
  if (fmt != "e4m3")
    q.fail(1005,
           "'quantization_config.fmt' \"{0}\" is not supported; known: "
           "e4m3",
           fmt);
  std::string scheme = q.string("activation_scheme", "dynamic");
  if (scheme != "dynamic")
    q.fail(1005,
           "'quantization_config.activation_scheme' \"{0}\" is not "
           "supported; known: dynamic",
           scheme);
  std::string scale = q.string("scale_fmt", "f32");
  if (scale != "ue8m0" && scale != "f32")
    q.fail(1005,
           "'quantization_config.scale_fmt' \"{0}\" is not supported; "
           "known: f32 (the default), ue8m0",
           scale);
  c.ue8m0Activations = scale == "ue8m0";
  if (!q.has("weight_block_size")) {
    q.fail(1005, "'quantization_config.weight_block_size' is absent: FP8 with "
                 "a scale per tensor is not supported; it must be [128, 128]");
  } else {
    const json::Array *block = object->get("weight_block_size")->getAsArray();
    if (!block || block->size() != 2 || (*block)[0].getAsInteger() != 128 ||
        (*block)[1].getAsInteger() != 128)
      q.fail(1005, "'quantization_config.weight_block_size' must be [128, "
                   "128]");
  }
  // Which modules stay unquantised is read from the tensors themselves.
  (void)q.has("modules_to_not_convert");
  (void)q.has("dequantize");
  for (const std::string &key : q.unknown())
    c.warnings.push_back("unknown key '" + key + "' is ignored");
  c.weights = WeightFormat::FP8;
}

void parseRouter(Fields &f, ModelConfig &c) {
  bool v2 = c.modelType == "deepseek_v2";
  c.topK = f.integer("num_experts_per_tok", std::nullopt, 1);
  c.moeIntermediate = f.integer("moe_intermediate_size", std::nullopt, 1);
  c.sharedExperts = f.integer("n_shared_experts", 0, 0, 1024);
  c.moeLayerFreq = f.integer("moe_layer_freq", 1, 1);
  c.routeScale = f.number("routed_scaling_factor", 1.0, 0, 1e6);
  c.groups = f.integer("n_group", 1, 1);
  c.topGroups = f.integer("topk_group", 1, 1);

  std::string score = f.string("scoring_func", v2 ? "softmax" : "sigmoid");
  if (score != "softmax" && score != "sigmoid")
    f.fail(1005,
           "'scoring_func' \"{0}\" is not supported; known: softmax, "
           "sigmoid",
           score);
  c.sigmoid = score == "sigmoid";
  std::string method = f.string("topk_method", v2 ? "greedy" : "noaux_tc");
  if (method == "greedy") {
    c.groups = c.topGroups = 1; // as the reference: groups are not looked at
  } else if (method == "noaux_tc") {
    c.routerBias = c.groupTop2 = true;
  } else if (method != "group_limited_greedy") {
    f.fail(1005,
           "'topk_method' \"{0}\" is not supported; known: greedy, "
           "group_limited_greedy, noaux_tc",
           method);
  }
  c.renormalize = f.boolean("norm_topk_prob", !v2);
  if (c.renormalize && !c.sigmoid)
    f.fail(1005, "'norm_topk_prob' true with 'scoring_func' softmax is not "
                 "supported: the references disagree on its meaning");
  if (c.experts % c.groups)
    return f.fail(1004, "'n_group' {0} does not divide 'n_routed_experts' {1}",
                  c.groups, c.experts);
  int64_t perGroup = c.experts / c.groups;
  if (c.topGroups > c.groups)
    f.fail(1004, "'topk_group' {0} exceeds 'n_group' {1}", c.topGroups,
           c.groups);
  if (c.topK > c.topGroups * perGroup)
    f.fail(1004,
           "'num_experts_per_tok' {0} exceeds the {1} experts of "
           "'topk_group' {2} groups of {3}",
           c.topK, c.topGroups * perGroup, c.topGroups, perGroup);
  if (c.groupTop2 && c.groups > 1 && perGroup < 2)
    f.fail(1004,
           "'topk_method' noaux_tc scores a group by its two best "
           "experts, but 'n_routed_experts' / 'n_group' is {0}",
           perGroup);
}

void parseTokens(Fields &f, const json::Object &object, ModelConfig &c) {
  c.bosToken = f.integer("bos_token_id", -1, -1);
  if (!f.has("eos_token_id"))
    return;
  if (const json::Array *ids = object.get("eos_token_id")->getAsArray()) {
    for (const json::Value &id : *ids) {
      std::optional<int64_t> v = id.getAsInteger();
      if (!v || *v < 0)
        return f.fail(1003, "field 'eos_token_id' must hold token ids");
      c.eosTokens.push_back(*v);
    }
  } else {
    c.eosTokens.push_back(f.integer("eos_token_id", std::nullopt, 0));
  }
  for (int64_t id : c.eosTokens)
    if (id >= c.vocab)
      f.fail(1004, "'eos_token_id' {0} is outside 'vocab_size' {1}", id,
             c.vocab);
}

ModelConfig parseFields(const json::Object &object, FirstError &error) {
  Fields f(object, error);
  ModelConfig c;
  for (const Refused &refused : kRefused)
    if (f.has(refused.key))
      f.fail(1005, "'{0}' is set: {1} is not supported", refused.key,
             refused.why);
  c.modelType = f.string("model_type", "");
  if (c.modelType.empty())
    f.fail(1002, "required field 'model_type' is missing");
  else if (c.modelType != "deepseek_v2" && c.modelType != "deepseek_v3" &&
           c.modelType != "kimi_k2")
    f.fail(1005,
           "'model_type' \"{0}\" is not supported; known: deepseek_v2, "
           "deepseek_v3, kimi_k2",
           c.modelType);
  c.vocab = f.integer("vocab_size", std::nullopt, 1);
  c.hidden = f.integer("hidden_size", std::nullopt, 1);
  c.layers = f.integer("num_hidden_layers", std::nullopt, 1, 4096);
  c.heads = f.integer("num_attention_heads", std::nullopt, 1, 65536);
  c.qLoraRank = f.integer("q_lora_rank", 0, 0);
  c.kvLoraRank = f.integer("kv_lora_rank", std::nullopt, 1);
  c.nope = f.integer("qk_nope_head_dim", std::nullopt, 1, 65536);
  c.rope = f.integer("qk_rope_head_dim", std::nullopt, 2, 65536);
  c.value = f.integer("v_head_dim", std::nullopt, 1, 65536);
  c.normEps = f.number("rms_norm_eps", 1e-6, 1e-30, 1);
  c.experts = f.integer("n_routed_experts", 0, 0, 1 << 20);
  c.denseLayers = f.integer("first_k_dense_replace", 0, 0, 4096);
  c.mtpLayers = f.integer("num_nextn_predict_layers",
                          f.integer("num_mtp_layers", 0, 0, 64), 0, 64);
  c.tiedEmbeddings = f.boolean("tie_word_embeddings", false);

  if (c.rope % 2)
    f.fail(1004, "'qk_rope_head_dim' {0} is odd: rotary values come in pairs",
           c.rope);
  auto derived = [&](StringRef key, int64_t expected, const char *of) {
    int64_t found = f.integer(key, expected, 1);
    if (found != expected)
      f.fail(1004, "'{0}' is {1}, but {2} is {3}", key, found, of, expected);
  };
  derived("num_key_value_heads", c.heads, "'num_attention_heads'");
  derived("qk_head_dim", c.headWidth(),
          "'qk_nope_head_dim' + 'qk_rope_head_dim'");
  if (f.has("head_dim")) {
    // HF writes the rotary width here, older files the head width.
    int64_t found = f.integer("head_dim", std::nullopt, 1);
    if (found != c.rope && found != c.headWidth() && found != c.value)
      f.fail(1004,
             "'head_dim' {0} is neither 'qk_rope_head_dim' {1} nor the "
             "head width {2}",
             found, c.rope, c.headWidth());
  }
  std::string act = f.string("hidden_act", "silu");
  if (act != "silu")
    f.fail(1005, "'hidden_act' \"{0}\" is not supported; known: silu", act);
  for (StringRef key : {"attention_bias", "mlp_bias"})
    if (f.boolean(key, false))
      f.fail(1005, "'{0}' true is not supported", key);

  parseRope(f, c, error);
  parseWeights(f, c, error);
  if (c.experts > 0)
    parseRouter(f, c);
  else
    for (StringRef key :
         {"num_experts_per_tok", "moe_intermediate_size", "n_shared_experts",
          "moe_layer_freq", "routed_scaling_factor", "n_group", "topk_group",
          "scoring_func", "topk_method", "norm_topk_prob"})
      (void)f.has(key);
  if (c.experts == 0 || c.numMoeLayers() < c.layers)
    c.intermediate = f.integer("intermediate_size", std::nullopt, 1);
  else
    (void)f.has("intermediate_size");
  parseTokens(f, object, c);
  for (const std::string &key : f.unknown())
    c.warnings.push_back("unknown key '" + key + "' is ignored");
  return c;
}

} // namespace

int64_t ModelConfig::numMoeLayers() const {
  int64_t count = 0;
  for (int64_t i = 0; i < layers; ++i)
    count += isMoe(i);
  return count;
}

Expected<ModelConfig> hadal::parseModelConfig(StringRef text,
                                              StringRef origin) {
  Expected<json::Value> value = parseJson(text);
  if (!value)
    return makeError(1001, "{0}: not valid JSON: {1}", origin,
                     llvm::toString(value.takeError()));
  json::Object *object = value->getAsObject();
  if (!object)
    return makeError(1001, "{0}: must hold a JSON object", origin);
  Expected<json::Object> normal =
      normalizeDeepseekConfig(std::move(*object), origin);
  if (!normal)
    return normal.takeError();
  FirstError error;
  ModelConfig config = parseFields(*normal, error);
  if (error.code)
    return makeError(error.code, "{0}: {1}", origin, error.message);
  return config;
}

Expected<ModelConfig> hadal::loadModelConfig(StringRef path) {
  llvm::SmallString<256> file(path);
  if (llvm::sys::fs::is_directory(path))
    llvm::sys::path::append(file, "config.json");
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return makeError(1001,
                     "{0}: cannot be read: {1}; a model directory holds "
                     "a config.json",
                     file.str(), buffer.getError().message());
  return parseModelConfig((*buffer)->getBuffer(), file);
}
