// Storage of weights, as config.json announces it.
#include "frontend/ConfigParts.h"
#include "frontend/Error.h"
#include "frontend/Json.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

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

void hadal::parseQuantization(ConfigFields &f, ModelConfig &c,
                              FirstError &error) {
  parseDtype(f, c);
  const json::Object *object = f.child("quantization_config");
  if (!object)
    return;
  ConfigFields q(*object, KeyScope::Quantization, error,
                 "quantization_config.");
  auto oneOf = [&](StringRef key, StringRef fallback,
                   llvm::ArrayRef<StringRef> known, StringRef also = "") {
    std::string value = q.string(key, fallback);
    if (!llvm::is_contained(known, value))
      q.fail(1005, "'{0}' \"{1}\" is not supported; known: {2}{3}", q.name(key),
             value, llvm::join(known, ", "), also);
    return value;
  };
  // The method first: the other keys are the method's.
  oneOf("quant_method", "", {"fp8"}, " (e4m3, 128x128 blocks)");
  oneOf("fmt", "e4m3", {"e4m3"});
  oneOf("activation_scheme", "dynamic", {"dynamic"});
  // transformers writes the default out as "float".
  c.ue8m0Activations =
      oneOf("scale_fmt", "f32", {"ue8m0", "f32", "float"}) == "ue8m0";
  q.refuseFeatures();
  const json::Value *block = q.get("weight_block_size");
  if (!block || !meansTheSame(*block, json::Array{128, 128}))
    q.fail(1005,
           "'quantization_config.weight_block_size' is {0}: one scale "
           "for blocks of [128, 128] alone is supported",
           block ? jsonText(*block) : "absent");
  std::vector<std::string> none;
  q.refuseUnknown(/*allow=*/false, none);
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
