// The configuration of a text model inside that of a multi-modal one.
#include "frontend/ConfigParts.h"
#include "llvm/ADT/StringExtras.h"

using namespace hadal;
using llvm::StringRef;
namespace json = llvm::json;

/// What the outer object decides. Where the inner one says it too they agree.
static constexpr StringRef kShared[] = {
    "bos_token_id", "eos_token_id",        "pad_token_id",       "dtype",
    "torch_dtype",  "tie_word_embeddings", "quantization_config"};

json::Object hadal::unwrapTextConfig(const json::Object &object,
                                     const ConfigOptions &options,
                                     ModelConfig &c, FirstError &error) {
  const ModelFamily *family =
      findModelFamily(object.getString("model_type").value_or(""));
  if (!family || family->textPrefix.empty())
    return object;
  ConfigFields f(object, KeyScope::Wrapper, error);
  c.tensorPrefix = family->textPrefix.str();
  for (StringRef prefix : multiModalPrefixes())
    c.leftOutPrefixes.push_back(prefix.str());
  c.mediaToken = f.integer("media_placeholder_token_id", -1, 0);
  const json::Object *inner = f.child("text_config");
  if (!inner) {
    f.fail(1002, "required field 'text_config' is missing");
    return {};
  }
  json::Object text = *inner;
  std::string type = text.getString("model_type").value_or("").str();
  static constexpr StringRef kText[] = {"deepseek_v3", "kimi_k2"};
  const llvm::ArrayRef<StringRef> textTypes(kText);
  if (!llvm::is_contained(textTypes, type))
    f.fail(1005,
           "'text_config.model_type' \"{0}\" is not supported in a model of "
           "type \"{1}\"; known: {2}",
           type, family->modelType, llvm::join(textTypes, ", "));
  // The row of the whole: its defaults are the text model's.
  text["model_type"] = family->modelType;
  for (StringRef key : kShared) {
    const json::Value *outer = f.get(key);
    if (!outer)
      continue;
    const json::Value *found = text.get(key);
    if (found && found->kind() != json::Value::Null &&
        !meansTheSame(*found, *outer))
      f.fail(1004, "'{0}' is {1}, but 'text_config.{0}' is {2}", key,
             jsonText(*outer), jsonText(*found));
    text[key] = *outer;
  }
  f.refuseFeatures();
  f.refuseUnknown(options.allowUnknownKeys, c.warnings);
  return text;
}
