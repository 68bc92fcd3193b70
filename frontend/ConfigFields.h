// Typed reading of config.json, with every key accounted for.
#pragma once
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <optional>
#include <string>
#include <vector>

namespace hadal {

/// Which object of config.json a key stands in (ConfigKeys.def).
enum class KeyScope {
  Model,
  Wrapper,
  Rope,
  Quantization,
  Packed,
  PackedGroup,
  PackedWeights
};

/// What becomes of a key.
enum class KeyUse { Used, Ignored, Off };

/// A row of ConfigKeys.def.
struct ConfigKey {
  KeyScope scope;
  llvm::StringLiteral key; ///< a prefix where it ends with '*'
  KeyUse use;
  /// Of Off: a JSON array of the values that switch the feature off, and the
  /// feature.
  llvm::StringLiteral off, what;
};

/// The row of |key|; null for a key that nothing is known of.
const ConfigKey *findConfigKey(KeyScope scope, llvm::StringRef key);

/// Whether two values mean the same: 40 and 40.0 do.
bool meansTheSame(const llvm::json::Value &a, const llvm::json::Value &b);

/// |value| as JSON text, for messages.
std::string jsonText(const llvm::json::Value &value);

/// The first error of a configuration; later ones are often its echo.
struct FirstError {
  int code = 0;
  std::string message;
};

/// Reads the fields of one JSON object. Errors go to |error|: H1002 a missing
/// field, H1003 a wrong type or range, H1004 a contradiction, H1005 a feature.
class ConfigFields {
public:
  ConfigFields(const llvm::json::Object &object, KeyScope scope,
               FirstError &error, llvm::StringRef prefix = "")
      : object(object), scope(scope), error(error), prefix(prefix) {}

  /// Replaces each alias by the key that it means; H1004 where the file holds
  /// both and they differ. To be called before any other function.
  void resolveAliases();

  /// Whether |key|, a used one, is there and is not null.
  bool has(llvm::StringRef key) const;
  const llvm::json::Value *get(llvm::StringRef key) const {
    return has(key) ? object.get(key) : nullptr;
  }

  /// An integer in [low, high]; |fallback| where absent or null, H1002 without.
  int64_t integer(llvm::StringRef key, std::optional<int64_t> fallback,
                  int64_t low, int64_t high = int64_t(1) << 31);
  double number(llvm::StringRef key, std::optional<double> fallback, double low,
                double high);
  bool boolean(llvm::StringRef key, bool fallback);
  std::string string(llvm::StringRef key, llvm::StringRef fallback);
  const llvm::json::Object *child(llvm::StringRef key);
  /// A list of strings, each one of |known|; empty where absent or null.
  std::vector<std::string> words(llvm::StringRef key,
                                 llvm::ArrayRef<llvm::StringRef> known);

  template <typename... Args>
  void fail(int code, const char *format, Args &&...args) {
    if (error.code)
      return;
    error.code = code;
    error.message = llvm::formatv(format, std::forward<Args>(args)...).str();
  }

  /// |key| as the file spells it, with the names of the objects around it.
  std::string name(llvm::StringRef key) const;

  /// Refuses what ConfigKeys.def says is on and not supported (H1005).
  void refuseFeatures();
  /// Refuses keys that ConfigKeys.def does not know (H1005), or adds a line for
  /// each to |warnings| where |allow| holds and the object is the file itself.
  void refuseUnknown(bool allow, std::vector<std::string> &warnings);

private:
  void missing(llvm::StringRef key);
  void wrong(llvm::StringRef key, llvm::StringRef expected);

  llvm::json::Object object;
  KeyScope scope;
  FirstError &error;
  std::string prefix;
  llvm::StringMap<std::string> spelling; // of keys that an alias gave
};

} // namespace hadal
