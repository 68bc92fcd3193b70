// HF config.json -> ModelConfig, with every refusal.
#include "frontend/ModelConfig.h"
#include "frontend/ConfigParts.h"
#include "frontend/Error.h"
#include "frontend/Json.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace hadal;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
namespace json = llvm::json;

/// The row of the configuration's `model_type`; null with an error set.
static const ModelFamily *parseFamily(ConfigFields &f, ModelConfig &c) {
  c.modelType = f.string("model_type", "");
  if (c.modelType.empty()) {
    f.fail(1002, "required field 'model_type' is missing");
    return nullptr;
  }
  const ModelFamily *family = findModelFamily(c.modelType);
  if (family)
    return family;
  if (StringRef missing = missingOperators(c.modelType); !missing.empty())
    f.fail(1005, "'model_type' \"{0}\" is not supported: it needs {1}",
           c.modelType, missing);
  else
    f.fail(1005, "'model_type' \"{0}\" is not supported; known: {1}",
           c.modelType, knownModelTypes());
  return nullptr;
}

static void parseTokens(ConfigFields &f, ModelConfig &c) {
  c.bosToken = f.integer("bos_token_id", -1, -1);
  const json::Value *eos = f.get("eos_token_id");
  if (!eos)
    return;
  if (const json::Array *ids = eos->getAsArray()) {
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

static void parseAttention(ConfigFields &f, ModelConfig &c,
                           const ModelFamily &family) {
  c.heads = f.integer("num_attention_heads", std::nullopt, 1, 65536);
  c.qLoraRank = f.integer("q_lora_rank", 0, 0);
  c.kvLoraRank = f.integer("kv_lora_rank", std::nullopt, 1);
  c.nope = f.integer("qk_nope_head_dim", std::nullopt, 1, 65536);
  c.rope = f.integer("qk_rope_head_dim", std::nullopt, 2, 65536);
  c.value = f.integer("v_head_dim", std::nullopt, 1, 65536);
  if (c.rope % 2)
    f.fail(1004, "'qk_rope_head_dim' {0} is odd: rotary values come in pairs",
           c.rope);
  auto derived = [&](StringRef key, int64_t expected, const char *of) {
    int64_t found = f.integer(key, expected, 1);
    if (found != expected)
      f.fail(1004, "'{0}' is {1}, but {2} is {3}", f.name(key), found, of,
             expected);
  };
  derived("num_key_value_heads", c.heads, "'num_attention_heads'");
  derived("qk_head_dim", c.headWidth(),
          "'qk_nope_head_dim' + 'qk_rope_head_dim'");
  if (f.has("head_dim") && family.headDim == HeadDim::Checked &&
      !f.has("partial_rotary_factor")) {
    // HF writes the rotary width here, older files the head width.
    int64_t found = f.integer("head_dim", std::nullopt, 1);
    if (found != c.rope && found != c.headWidth() && found != c.value)
      f.fail(1004,
             "'head_dim' {0} is neither 'qk_rope_head_dim' {1} nor the "
             "head width {2}",
             found, c.rope, c.headWidth());
  }
}

static ModelConfig parseFields(const json::Object &object,
                               const ConfigOptions &options,
                               FirstError &error) {
  ModelConfig c;
  json::Object text = unwrapTextConfig(object, options, c, error);
  if (error.code)
    return c;
  ConfigFields f(text, KeyScope::Model, error,
                 c.tensorPrefix.empty() ? "" : "text_config.");
  const ModelFamily *family = parseFamily(f, c);
  if (!family)
    return c;
  f.refuseFeatures();
  f.resolveAliases();
  c.vocab = f.integer("vocab_size", std::nullopt, 1);
  c.hidden = f.integer("hidden_size", std::nullopt, 1);
  c.layers = f.integer("num_hidden_layers", std::nullopt, 1, 4096);
  c.normEps = f.number("rms_norm_eps", family->normEps, 1e-30, 1);
  c.innerNormEps = family->innerNormEps;
  c.mtpLayers = f.integer("num_nextn_predict_layers", 0, 0, 64);
  c.tiedEmbeddings = f.boolean("tie_word_embeddings", family->tiedEmbeddings);
  std::string act = f.string("hidden_act", "silu");
  if (act != "silu")
    f.fail(1005, "'hidden_act' \"{0}\" is not supported; known: silu", act);
  parseAttention(f, c, *family);
  parseIndexer(f, c, *family);
  parseRope(f, c, error);
  parseQuantization(f, c, error);
  parseExperts(f, c, *family);
  if (c.numMoeLayers() < c.layers)
    c.intermediate = f.integer("intermediate_size", std::nullopt, 1);
  parseTokens(f, c);
  f.refuseUnknown(options.allowUnknownKeys, c.warnings);
  return c;
}

int64_t ModelConfig::numMoeLayers() const {
  int64_t count = 0;
  for (int64_t i = 0; i < layers; ++i)
    count += isMoe(i);
  return count;
}

Error hadal::checkMaxSeqLen(const ModelConfig &config, int64_t maxSeqLen) {
  if (config.indexTopk == 0 || maxSeqLen <= config.indexTopk)
    return Error::success();
  return makeError(1005,
                   "the sparse attention indexer is not supported; up to "
                   "'index_topk' {0} tokens the model is exact without it: "
                   "expected --max-seq-len={0} or less, found {1}",
                   config.indexTopk, maxSeqLen);
}

Expected<ModelConfig> hadal::parseModelConfig(StringRef text, StringRef origin,
                                              const ConfigOptions &options) {
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
  ModelConfig config = parseFields(*normal, options, error);
  if (error.code)
    return makeError(error.code, "{0}: {1}", origin, error.message);
  return config;
}

Expected<ModelConfig> hadal::loadModelConfig(StringRef path,
                                             const ConfigOptions &options) {
  llvm::SmallString<256> file(path);
  bool isDirectory = llvm::sys::fs::is_directory(path);
  if (isDirectory)
    llvm::sys::path::append(file, "config.json");
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  llvm::SmallString<256> mistral(path);
  llvm::sys::path::append(mistral, "params.json");
  if (!buffer && isDirectory && llvm::sys::fs::exists(mistral))
    return makeError(1005,
                     "{0}: Mistral's own format is not supported: it needs "
                     "{1}; expected a config.json",
                     mistral.str(), missingOperators("mistral4"));
  if (!buffer)
    return makeError(1001,
                     "{0}: cannot be read: {1}; a model directory holds "
                     "a config.json",
                     file.str(), buffer.getError().message());
  auto config = parseModelConfig((*buffer)->getBuffer(), file, options);
  // Where config.json announces a quantisation, it is the one that counts.
  if (config && isDirectory && config->weights != WeightFormat::FP8 &&
      config->weights != WeightFormat::INT4)
    if (Error error = checkHfQuantConfig(path))
      return std::move(error);
  return config;
}
