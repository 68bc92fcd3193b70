// Values of the template language, with Python's meaning.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/base/Json.h"
#include "runtime/chat/Text.h"

namespace hadal::chat {

class Value;

struct List {
  std::vector<Value> items;
  bool isTuple = false;
};

/// In the order of insertion. Keys are strings.
struct Dict {
  std::vector<std::pair<Text, Value>> items;

  const Value *find(std::string_view key) const;
  void set(const Text &key, Value value);
};

/// What `namespace()` makes: the only value that changes.
struct Namespace {
  Dict members;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Function {
  std::string name;
  std::function<Value(Arguments &)> call;
};

/// Of a missing name or member.
struct Undefined {
  std::string name;
};
struct None {};

class Value {
public:
  using Variant =
      std::variant<Undefined, None, bool, int64_t, double,
                   std::shared_ptr<const Text>, std::shared_ptr<const List>,
                   std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
                   std::shared_ptr<const Function>>;

  Value() : data_(Undefined{}) {}
  Value(None) : data_(None{}) {}
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  Value(Text value) : data_(std::make_shared<const Text>(std::move(value))) {}
  Value(List value) : data_(std::make_shared<const List>(std::move(value))) {}
  Value(Dict value) : data_(std::make_shared<const Dict>(std::move(value))) {}
  Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}
  Value(Function value)
      : data_(std::make_shared<const Function>(std::move(value))) {}
  static Value undefined(std::string name) {
    Value value;
    value.data_ = Undefined{std::move(name)};
    return value;
  }
  /// Every string in it is of origin |trusted|.
  static Value fromJson(const OrderedJson &json, bool trusted);

  template <typename T> const T *as() const {
    if constexpr (std::is_same_v<T, Text> || std::is_same_v<T, List> ||
                  std::is_same_v<T, Dict> || std::is_same_v<T, Function>) {
      auto pointer = std::get_if<std::shared_ptr<const T>>(&data_);
      return pointer ? pointer->get() : nullptr;
    } else {
      return std::get_if<T>(&data_);
    }
  }
  Namespace *asNamespace() const {
    auto pointer = std::get_if<std::shared_ptr<Namespace>>(&data_);
    return pointer ? pointer->get() : nullptr;
  }
  bool isUndefined() const { return as<Undefined>(); }
  bool isNone() const { return as<None>(); }
  /// Of a bool, an integer or a float.
  bool isNumber() const { return as<bool>() || as<int64_t>() || as<double>(); }
  /// The number in a bool or an integer.
  const int64_t *asInteger(int64_t &storage) const;
  double asDouble() const;

  bool truth() const;
  /// "str", "list", ...: Python's name of the type.
  const char *typeName() const;

private:
  Variant data_;
};

/// Python's ==.
bool equal(const Value &a, const Value &b);
/// Python's str().
Text toText(const Value &value);
/// json.dumps as transformers' tojson calls it: ", " and ": ", keys in their
/// order, no escapes beyond JSON's own, no HTML escaping. |indent| < 0: one
/// line.
Text toJson(const Value &value, int64_t indent = -1, bool sortKeys = false);

/// Depth of values that are printed, compared or converted.
inline constexpr unsigned kMaxValueDepth = 128;

} // namespace hadal::chat
