#include "runtime/chat/Value.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/tokenizer/CodePointSet.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::chat {

namespace {

void checkDepth(unsigned depth) {
  if (depth > kMaxValueDepth)
    fail("a value is nested deeper than {} levels", kMaxValueDepth);
}

/// Python's repr() of a float; json.dumps prints the same but for what is not
/// finite.
std::string floatText(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return text;
}

/// Whether Python's str.isprintable() holds of a character beyond ASCII.
bool isPrintable(uint32_t codePoint) {
  static const CodePointSet hidden = [] {
    CodePointSet set;
    for (const char *category : {"C", "Z"})
      if (auto part = CodePointSet::category(category))
        set.add(*part);
    return set;
  }();
  return codePoint == ' ' || !hidden.contains(codePoint);
}

/// Python's repr() of a string.
Text quoted(const Text &text) {
  const std::string &bytes = text.bytes();
  const char quote = bytes.find('\'') != std::string::npos &&
                             bytes.find('"') == std::string::npos
                         ? '"'
                         : '\'';
  Text result;
  result.append({&quote, 1}, true);
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Character c = decodeUtf8(std::string_view(bytes).substr(at));
    std::string escaped;
    if (c.codePoint == '\\' || c.codePoint == static_cast<uint32_t>(quote))
      escaped = {'\\', static_cast<char>(c.codePoint)};
    else if (c.codePoint == '\n')
      escaped = "\\n";
    else if (c.codePoint == '\r')
      escaped = "\\r";
    else if (c.codePoint == '\t')
      escaped = "\\t";
    else if (isPrintable(c.codePoint))
      escaped = "";
    else if (c.codePoint < 0x100)
      escaped = fmt::format("\\x{:02x}", c.codePoint);
    else if (c.codePoint < 0x10000)
      escaped = fmt::format("\\u{:04x}", c.codePoint);
    else
      escaped = fmt::format("\\U{:08x}", c.codePoint);
    if (escaped.empty())
      result.append(text, at, c.bytes);
    else
      result.append(escaped, text.substr(at, c.bytes).isTrusted());
    at += c.bytes;
  }
  result.append({&quote, 1}, true);
  return result;
}

void print(const Value &value, bool inside, unsigned depth, Text &out) {
  checkDepth(depth);
  if (const Text *text = value.as<Text>())
    return out.append(inside ? quoted(*text) : *text);
  if (const bool *truth = value.as<bool>())
    return out.append(*truth ? "True" : "False", true);
  if (value.isNone())
    return out.append("None", true);
  if (value.isUndefined())
    return out.append(inside ? "Undefined" : "", true);
  if (const int64_t *integer = value.as<int64_t>())
    return out.append(fmt::format("{}", *integer), true);
  if (const double *number = value.as<double>())
    return out.append(floatText(*number), true);
  if (const List *list = value.as<List>()) {
    out.append(list->isTuple ? "(" : "[", true);
    for (size_t i = 0; i < list->items.size(); ++i) {
      if (i)
        out.append(", ", true);
      print(list->items[i], true, depth + 1, out);
    }
    if (list->isTuple && list->items.size() == 1)
      out.append(",", true);
    return out.append(list->isTuple ? ")" : "]", true);
  }
  const Namespace *space = value.asNamespace();
  const Dict *dict = space ? &space->members : value.as<Dict>();
  if (!dict)
    fail("a function is printed; call it");
  out.append(space ? "<Namespace {" : "{", true);
  for (size_t i = 0; i < dict->items.size(); ++i) {
    if (i)
      out.append(", ", true);
    out.append(quoted(dict->items[i].first));
    out.append(": ", true);
    print(dict->items[i].second, true, depth + 1, out);
  }
  out.append(space ? "}>" : "}", true);
}

class JsonWriter {
public:
  JsonWriter(int64_t indent, bool sortKeys)
      : indent_(indent), sortKeys_(sortKeys) {}

  void write(const Value &value, unsigned depth) {
    checkDepth(depth);
    if (const Text *text = value.as<Text>())
      return writeString(*text);
    if (const bool *truth = value.as<bool>())
      return out.append(*truth ? "true" : "false", true);
    if (value.isNone())
      return out.append("null", true);
    if (const double *number = value.as<double>();
        number && !std::isfinite(*number))
      return out.append(std::isnan(*number) ? "NaN"
                        : *number < 0       ? "-Infinity"
                                            : "Infinity",
                        true);
    if (value.isNumber())
      return print(value, false, 0, out);
    if (const List *list = value.as<List>())
      return writeAll('[', ']', list->items.size(), depth,
                      [&](size_t i) { write(list->items[i], depth + 1); });
    const Dict *dict = value.as<Dict>();
    if (!dict)
      fail("tojson of {}: not a JSON value", value.typeName());
    std::vector<size_t> order(dict->items.size());
    std::iota(order.begin(), order.end(), size_t{0});
    // Bytes of UTF-8 sort as the code points do.
    if (sortKeys_)
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return dict->items[a].first.bytes() < dict->items[b].first.bytes();
      });
    writeAll('{', '}', order.size(), depth, [&](size_t i) {
      writeString(dict->items[order[i]].first);
      out.append(": ", true);
      write(dict->items[order[i]].second, depth + 1);
    });
  }

  Text out;

private:
  template <typename Each>
  void writeAll(char open, char close, size_t count, unsigned depth,
                Each each) {
    out.append({&open, 1}, true);
    for (size_t i = 0; i < count; ++i) {
      if (i)
        out.append(indent_ < 0 ? ", " : ",", true);
      breakLine(depth + 1);
      each(i);
    }
    if (count)
      breakLine(depth);
    out.append({&close, 1}, true);
  }
  void breakLine(unsigned depth) {
    if (indent_ >= 0)
      out.append("\n" + std::string(static_cast<size_t>(indent_) * depth, ' '),
                 true);
  }
  void writeString(const Text &text) {
    out.append("\"", true);
    const std::string &bytes = text.bytes();
    size_t plain = 0;
    for (size_t at = 0; at < bytes.size(); ++at) {
      const auto byte = static_cast<uint8_t>(bytes[at]);
      if (byte >= 0x20 && byte != '"' && byte != '\\')
        continue;
      static constexpr std::string_view kShort = "\"\"\\\\\bb\ff\nn\rr\tt";
      std::string escaped;
      for (size_t i = 0; i < kShort.size(); i += 2)
        if (kShort[i] == bytes[at])
          escaped = {'\\', kShort[i + 1]};
      if (escaped.empty())
        escaped = fmt::format("\\u{:04x}", byte);
      out.append(text, plain, at - plain);
      out.append(escaped, text.substr(at, 1).isTrusted());
      plain = at + 1;
    }
    out.append(text, plain, bytes.size() - plain);
    out.append("\"", true);
  }

  int64_t indent_;
  bool sortKeys_;
};

bool equalAt(const Value &a, const Value &b, unsigned depth) {
  checkDepth(depth);
  if (a.isNumber() && b.isNumber()) {
    int64_t left, right;
    if (a.asInteger(left) && b.asInteger(right))
      return left == right;
    return a.asDouble() == b.asDouble();
  }
  if (a.as<Text>() && b.as<Text>())
    return *a.as<Text>() == *b.as<Text>();
  if (const List *left = a.as<List>(), *right = b.as<List>(); left && right) {
    if (left->isTuple != right->isTuple ||
        left->items.size() != right->items.size())
      return false;
    for (size_t i = 0; i < left->items.size(); ++i)
      if (!equalAt(left->items[i], right->items[i], depth + 1))
        return false;
    return true;
  }
  if (const Dict *left = a.as<Dict>(), *right = b.as<Dict>(); left && right) {
    if (left->items.size() != right->items.size())
      return false;
    for (const auto &[key, value] : left->items)
      if (const Value *other = right->find(key.bytes());
          !other || !equalAt(value, *other, depth + 1))
        return false;
    return true;
  }
  if (a.asNamespace() || b.asNamespace())
    return a.asNamespace() == b.asNamespace();
  if (a.as<Function>() || b.as<Function>())
    return a.as<Function>() == b.as<Function>();
  return (a.isNone() && b.isNone()) || (a.isUndefined() && b.isUndefined());
}

} // namespace

const Value *Dict::find(std::string_view key) const {
  for (const auto &[each, value] : items)
    if (each.bytes() == key)
      return &value;
  return nullptr;
}

void Dict::set(const Text &key, Value value) {
  for (auto &[each, old] : items)
    if (each == key) {
      old = std::move(value);
      return;
    }
  items.emplace_back(key, std::move(value));
}

Value Value::fromJson(const OrderedJson &json, bool trusted) {
  using Kind = OrderedJson::value_t;
  switch (json.type()) {
  case Kind::boolean:
    return Value(json.get<bool>());
  case Kind::number_integer:
    return Value(json.get<int64_t>());
  case Kind::number_unsigned: {
    const auto value = json.get<uint64_t>();
    return value <= INT64_MAX ? Value(static_cast<int64_t>(value))
                              : Value(static_cast<double>(value));
  }
  case Kind::number_float:
    return Value(json.get<double>());
  case Kind::string:
    return Value(Text(json.get_ref<const std::string &>(), trusted));
  case Kind::array: {
    List list;
    for (const OrderedJson &each : json)
      list.items.push_back(fromJson(each, trusted));
    return list;
  }
  case Kind::object: {
    Dict dict;
    for (const auto &[key, each] : json.items())
      dict.items.emplace_back(Text(key, trusted), fromJson(each, trusted));
    return dict;
  }
  case Kind::null:
  case Kind::binary:
  case Kind::discarded:
    break;
  }
  return None{};
}

const int64_t *Value::asInteger(int64_t &storage) const {
  if (const bool *truth = as<bool>())
    storage = *truth;
  else if (const int64_t *integer = as<int64_t>())
    storage = *integer;
  else
    return nullptr;
  return &storage;
}

double Value::asDouble() const {
  if (const double *number = as<double>())
    return *number;
  int64_t integer = 0;
  asInteger(integer);
  return static_cast<double>(integer);
}

bool Value::truth() const {
  if (isNumber())
    return asDouble() != 0;
  if (const Text *text = as<Text>())
    return !text->empty();
  if (const List *list = as<List>())
    return !list->items.empty();
  if (const Dict *dict = as<Dict>())
    return !dict->items.empty();
  return asNamespace() || as<Function>();
}

const char *Value::typeName() const {
  static constexpr const char *kNames[] = {"an undefined value",
                                           "None",
                                           "bool",
                                           "int",
                                           "float",
                                           "str",
                                           "list",
                                           "dict",
                                           "namespace",
                                           "function"};
  const List *list = as<List>();
  return list && list->isTuple ? "tuple" : kNames[data_.index()];
}

bool equal(const Value &a, const Value &b) { return equalAt(a, b, 0); }

Text toText(const Value &value) {
  Text text;
  print(value, false, 0, text);
  return text;
}

Text toJson(const Value &value, int64_t indent, bool sortKeys) {
  JsonWriter writer(indent, sortKeys);
  writer.write(value, 0);
  return std::move(writer.out);
}

} // namespace hadal::chat
