// Storage of weights, as config.json announces it.
#include "frontend/ConfigParts.h"
#include "frontend/Error.h"
#include "frontend/Json.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Regex.h"

using namespace hadal;
using llvm::StringRef;
namespace json = llvm::json;

/// "bfloat16" of "bfloat16" and of "torch.bfloat16".
static std::string dtypeOf(ConfigFields &f, StringRef key) {
  std::string text = f.string(key, "");
  StringRef bare = text;
  bare.consume_front("torch.");
  return bare.str();
}

static void parseDtype(ConfigFields &f, ModelConfig &c) {
  std::string dtype = dtypeOf(f, "dtype"), old = dtypeOf(f, "torch_dtype");
  StringRef key = dtype.empty() ? "torch_dtype" : "dtype";
  if (!dtype.empty() && !old.empty() && dtype != old)
    f.fail(1004,
           "'dtype' is \"{0}\", but 'torch_dtype', which means the same, "
           "is \"{1}\"",
           dtype, old);
  if (dtype.empty())
    dtype = old.empty() ? "bfloat16" : old;
  if (dtype == "bfloat16")
    c.weights = WeightFormat::BF16;
  else if (dtype == "float32")
    c.weights = WeightFormat::F32;
  else
    f.fail(1005, "'{0}' \"{1}\" is not supported; known: bfloat16, float32",
           key, dtype);
}

/// The word of |key|, which is one of |known|.
static std::string oneOf(ConfigFields &q, StringRef key, StringRef fallback,
                         llvm::ArrayRef<StringRef> known) {
  std::string value = q.string(key, fallback);
  if (!llvm::is_contained(known, value))
    q.fail(1005, "'{0}' \"{1}\" is not supported; known: {2}", q.name(key),
           value, llvm::join(known, ", "));
  return value;
}

static void refuseUnknown(ConfigFields &f) {
  std::vector<std::string> none;
  f.refuseUnknown(/*allow=*/false, none);
}

/// The weights of the one group: codes of four bits, symmetric, a scale for
/// kPackedGroup columns.
static void parsePackedWeights(const json::Object &object, FirstError &error,
                               const std::string &prefix) {
  ConfigFields w(object, KeyScope::PackedWeights, error, prefix);
  w.refuseFeatures();
  if (int64_t bits = w.integer("num_bits", std::nullopt, 1, 64); bits != 4)
    w.fail(1005, "'{0}' {1} is not supported; known: 4", w.name("num_bits"),
           bits);
  oneOf(w, "type", "int", {"int"});
  oneOf(w, "strategy", "", {"group"});
  if (int64_t group = w.integer("group_size", std::nullopt, -1);
      group != kPackedGroup)
    w.fail(1005, "'{0}' {1} is not supported; known: {2}",
           w.name("group_size"), group, kPackedGroup);
  refuseUnknown(w);
}

/// quantization_config of the method compressed-tensors.
static void parsePacked(const json::Object &object, ModelConfig &c,
                        FirstError &error) {
  ConfigFields q(object, KeyScope::Packed, error, "quantization_config.");
  oneOf(q, "format", "", {"pack-quantized"});
  oneOf(q, "quantization_status", "compressed", {"compressed"});
  q.refuseFeatures();
  if (c.weights != WeightFormat::BF16)
    q.fail(1005, "'quantization_config.quant_method' compressed-tensors is "
                 "supported beside weights in bfloat16 alone");
  const json::Object *groups = q.child("config_groups");
  if (!groups || groups->size() != 1)
    return q.fail(1005,
                  "'quantization_config.config_groups' holds {0} groups; one "
                  "is supported",
                  groups ? groups->size() : 0);
  std::string prefix = "quantization_config.config_groups." +
                       groups->begin()->first.str() + ".";
  const json::Object *group = groups->begin()->second.getAsObject();
  if (!group)
    return q.fail(1003, "field '{0}' must be an object",
                  StringRef(prefix).drop_back());
  ConfigFields g(*group, KeyScope::PackedGroup, error, prefix);
  g.refuseFeatures();
  oneOf(g, "format", "pack-quantized", {"pack-quantized"});
  if (g.words("targets", {"Linear"}).empty())
    g.fail(1002, "required field '{0}' is missing", g.name("targets"));
  if (const json::Object *weights = g.child("weights"))
    parsePackedWeights(*weights, error, prefix + "weights.");
  else
    g.fail(1002, "required field '{0}' is missing", g.name("weights"));
  refuseUnknown(g);
  if (const json::Value *ignore = q.get("ignore")) {
    const json::Array *list = ignore->getAsArray();
    for (const json::Value &item : list ? *list : json::Array()) {
      std::string pattern = item.getAsString().value_or("").str();
      StringRef expression = pattern;
      std::string why;
      if (pattern.empty() || (expression.consume_front("re:") &&
                              !llvm::Regex(expression).isValid(why)))
        q.fail(1003,
               "field 'quantization_config.ignore' must hold names and regular "
               "expressions, found {0}{1}{2}",
               jsonText(item), why.empty() ? "" : ": ", why);
      c.unpackedModules.push_back(std::move(pattern));
    }
    if (!list)
      q.fail(1003, "field 'quantization_config.ignore' must be a list, found "
                   "{0}",
             jsonText(*ignore));
  }
  refuseUnknown(q);
  c.weights = WeightFormat::INT4;
}

bool ModelConfig::isPacked(StringRef module) const {
  if (weights != WeightFormat::INT4)
    return false;
  std::string name = tensorPrefix + module.str();
  for (StringRef pattern : unpackedModules) {
    if (!pattern.consume_front("re:")) {
      if (pattern == name || pattern == module)
        return false;
      continue;
    }
    if (llvm::Regex(("^(" + pattern + ")").str()).match(name))
      return false;
  }
  return true;
}

void hadal::parseQuantization(ConfigFields &f, ModelConfig &c,
                              FirstError &error) {
  parseDtype(f, c);
  const json::Object *object = f.child("quantization_config");
  if (!object)
    return;
  // The method first: the other keys are the method's.
  StringRef method = object->getString("quant_method").value_or("");
  if (method == "compressed-tensors")
    return parsePacked(*object, c, error);
  ConfigFields q(*object, KeyScope::Quantization, error,
                 "quantization_config.");
  if (method != "fp8")
    q.fail(1005,
           "'{0}' \"{1}\" is not supported; known: fp8 (e4m3, 128x128 blocks), "
           "compressed-tensors (int4, groups of {2})",
           q.name("quant_method"), method, kPackedGroup);
  oneOf(q, "fmt", "e4m3", {"e4m3"});
  oneOf(q, "activation_scheme", "dynamic", {"dynamic"});
  // transformers writes the default out as "float".
  c.ue8m0Activations =
      oneOf(q, "scale_fmt", "f32", {"ue8m0", "f32", "float"}) == "ue8m0";
  q.refuseFeatures();
  const json::Value *block = q.get("weight_block_size");
  if (!block || !meansTheSame(*block, json::Array{128, 128}))
    q.fail(1005,
           "'quantization_config.weight_block_size' is {0}: one scale "
           "for blocks of [128, 128] alone is supported",
           block ? jsonText(*block) : "absent");
  refuseUnknown(q);
  c.weights = WeightFormat::FP8;
}

llvm::Error hadal::checkHfQuantConfig(StringRef directory) {
  llvm::SmallString<256> path(directory);
  llvm::sys::path::append(path, "hf_quant_config.json");
  if (!llvm::sys::fs::exists(path))
    return llvm::Error::success();
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return makeError(1001, "{0}: cannot be read: {1}", path.str(),
                     buffer.getError().message());
  llvm::Expected<json::Value> value = parseJson((*buffer)->getBuffer());
  if (!value)
    return makeError(1001, "{0}: not valid JSON: {1}", path.str(),
                     llvm::toString(value.takeError()));
  const json::Object *root = value->getAsObject();
  const json::Object *object = root ? root->getObject("quantization") : nullptr;
  if (!object)
    return makeError(1001, "{0}: has no 'quantization' object", path.str());
  for (StringRef key : {"quant_algo", "kv_cache_quant_algo"})
    if (const json::Value *found = object->get(key);
        found && found->kind() != json::Value::Null)
      return makeError(1005,
                       "{0}: 'quantization.{1}' is {2}: this quantisation is "
                       "not supported; known: 'quantization_config' fp8 in "
                       "config.json",
                       path.str(), key, jsonText(*found));
  return llvm::Error::success();
}
