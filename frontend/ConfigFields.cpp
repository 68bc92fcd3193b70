#include "frontend/ConfigFields.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdio>
#include <cstdlib>

using namespace hadal;
using llvm::StringLiteral;
using llvm::StringRef;
namespace json = llvm::json;

static const ConfigKey kKeys[] = {
#define HADAL_USED_KEY(Scope, Key)                                             \
  {KeyScope::Scope, StringLiteral(Key), KeyUse::Used, StringLiteral(""),       \
   StringLiteral("")},
#define HADAL_IGNORED_KEY(Scope, Key)                                          \
  {KeyScope::Scope, StringLiteral(Key), KeyUse::Ignored, StringLiteral(""),    \
   StringLiteral("")},
#define HADAL_OFF_KEY(Scope, Key, Values, What)                                \
  {KeyScope::Scope, StringLiteral(Key), KeyUse::Off, StringLiteral(Values),    \
   StringLiteral(What)},
#include "frontend/ConfigKeys.def"
};

static constexpr std::pair<StringLiteral, StringLiteral> kAliases[] = {
#define HADAL_KEY_ALIAS(Alias, Key) {StringLiteral(Alias), StringLiteral(Key)},
#include "frontend/ConfigKeys.def"
};

const ConfigKey *hadal::findConfigKey(KeyScope scope, StringRef key) {
  const ConfigKey *prefix = nullptr;
  for (const ConfigKey &entry : kKeys) {
    if (entry.scope != scope)
      continue;
    if (entry.key == key)
      return &entry;
    if (entry.key.ends_with("*") && key.starts_with(entry.key.drop_back()))
      prefix = &entry;
  }
  return prefix;
}

bool hadal::meansTheSame(const json::Value &a, const json::Value &b) {
  std::optional<double> x = a.getAsNumber(), y = b.getAsNumber();
  if (x && y)
    return *x == *y;
  return a == b;
}

/// |number| with 15 digits where they tell it from its neighbours.
static std::string shortest(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", number);
  if (std::strtod(text, nullptr) != number)
    std::snprintf(text, sizeof text, "%.17g", number);
  return text;
}

std::string hadal::jsonText(const json::Value &value) {
  // 0.1, where JSON's 17 digits would be 0.10000000000000001.
  if (std::optional<double> number = value.getAsNumber())
    return shortest(*number);
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

/// Keys of |object| in a fixed order, null ones left out.
static std::vector<StringRef> keysOf(const json::Object &object) {
  std::vector<StringRef> keys;
  for (const auto &entry : object)
    if (entry.second.kind() != json::Value::Null)
      keys.push_back(entry.first);
  llvm::sort(keys);
  return keys;
}

void ConfigFields::resolveAliases() {
  for (auto [alias, key] : kAliases) {
    const json::Value *other = object.get(alias);
    if (!other)
      continue;
    json::Value value = *other;
    object.erase(alias);
    if (value.kind() == json::Value::Null)
      continue;
    if (!has(key)) {
      object[key] = std::move(value);
      spelling[key] = alias.str();
    } else if (!meansTheSame(*object.get(key), value)) {
      fail(1004, "'{0}' is {1}, but '{2}', which means the same, is {3}",
           name(key), jsonText(*object.get(key)), alias, jsonText(value));
    }
  }
}

bool ConfigFields::has(StringRef key) const {
  assert(findConfigKey(scope, key) &&
         findConfigKey(scope, key)->use == KeyUse::Used &&
         "a key that the parser reads must be in ConfigKeys.def");
  const json::Value *value = object.get(key);
  return value && value->kind() != json::Value::Null;
}

int64_t ConfigFields::integer(StringRef key, std::optional<int64_t> fallback,
                              int64_t low, int64_t high) {
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

double ConfigFields::number(StringRef key, std::optional<double> fallback,
                            double low, double high) {
  if (!has(key)) {
    if (!fallback)
      missing(key);
    return fallback.value_or(low);
  }
  std::optional<double> v = object.get(key)->getAsNumber();
  if (!v || !(*v >= low && *v <= high)) {
    wrong(key, "a number from " + jsonText(low) + " to " + jsonText(high));
    return low;
  }
  return *v;
}

bool ConfigFields::boolean(StringRef key, bool fallback) {
  if (!has(key))
    return fallback;
  std::optional<bool> v = object.get(key)->getAsBoolean();
  if (!v)
    wrong(key, "true or false");
  return v.value_or(fallback);
}

std::string ConfigFields::string(StringRef key, StringRef fallback) {
  if (!has(key))
    return fallback.str();
  std::optional<StringRef> v = object.get(key)->getAsString();
  if (!v)
    wrong(key, "a string");
  return v.value_or(fallback).str();
}

const json::Object *ConfigFields::child(StringRef key) {
  if (!has(key))
    return nullptr;
  const json::Object *v = object.get(key)->getAsObject();
  if (!v)
    wrong(key, "an object");
  return v;
}

std::vector<std::string> ConfigFields::words(StringRef key,
                                             llvm::ArrayRef<StringRef> known) {
  std::vector<std::string> out;
  if (!has(key))
    return out;
  const json::Array *list = object.get(key)->getAsArray();
  if (!list) {
    wrong(key, "a list of strings");
    return out;
  }
  for (const json::Value &item : *list) {
    std::optional<StringRef> word = item.getAsString();
    if (!word) {
      fail(1003, "field '{0}' must be a list of strings, found {1} in it",
           name(key), jsonText(item));
      return {};
    }
    if (!llvm::is_contained(known, *word))
      fail(1005, "'{0}' holds \"{1}\", which is not supported; known: {2}",
           name(key), *word, llvm::join(known, ", "));
    out.push_back(word->str());
  }
  return out;
}

std::string ConfigFields::name(StringRef key) const {
  auto it = spelling.find(key);
  return prefix + (it == spelling.end() ? key.str() : it->second);
}

void ConfigFields::refuseFeatures() {
  for (StringRef key : keysOf(object)) {
    const ConfigKey *entry = findConfigKey(scope, key);
    if (!entry || entry->use != KeyUse::Off)
      continue;
    json::Value off = llvm::cantFail(json::parse(entry->off));
    const json::Value &value = *object.get(key);
    if (llvm::none_of(*off.getAsArray(), [&](const json::Value &each) {
          return meansTheSame(each, value);
        }))
      fail(1005, "'{0}' is {1}: it needs {2}, which is not supported",
           name(key), jsonText(value), entry->what);
  }
}

void ConfigFields::refuseUnknown(bool allow,
                                 std::vector<std::string> &warnings) {
  for (StringRef key : keysOf(object)) {
    if (findConfigKey(scope, key))
      continue;
    if (scope != KeyScope::Model && scope != KeyScope::Wrapper)
      fail(1005,
           "unknown key '{0}': what it changes is not known; remove it only "
           "if it changes nothing at inference",
           name(key));
    else if (!allow)
      fail(1005,
           "unknown key '{0}': it may change what the model computes; if it "
           "does not, pass --allow-unknown-keys",
           name(key));
    else
      warnings.push_back("unknown key '" + name(key) + "' is ignored");
  }
}

void ConfigFields::missing(StringRef key) {
  fail(1002, "required field '{0}' is missing", name(key));
}

void ConfigFields::wrong(StringRef key, StringRef expected) {
  fail(1003, "field '{0}' must be {1}, found {2}", name(key), expected,
       jsonText(*object.get(key)));
}
