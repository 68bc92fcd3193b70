#include "tools/common/SpecJson.h"

namespace hadal {

using Json = nlohmann::ordered_json;

Json specJson(const schema::KernelSpec *spec) {
  Json json = Json::object();
  if (!spec)
    return json;
  json["kind"] = spec->kind()->str();
  for (const schema::KeyValue *field : *spec->fields()) {
    const std::string text = field->value()->str();
    Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    // A word (bf16) is no JSON.
    json[field->key()->str()] =
        value.is_number() || value.is_boolean() ? std::move(value) : Json(text);
  }
  return json;
}

} // namespace hadal
