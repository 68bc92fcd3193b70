#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/chat/Builtins.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::chat {

namespace {

constexpr std::string_view kTextMethods[] = {
    "split",      "rsplit",   "strip",        "lstrip",       "rstrip",
    "startswith", "endswith", "replace",      "upper",        "lower",
    "capitalize", "find",     "removeprefix", "removesuffix", "splitlines",
    "join",       "count",    "isspace"};
constexpr std::string_view kDictMethods[] = {"get", "items", "keys", "values"};
constexpr std::string_view kListMethods[] = {"index", "count"};

template <size_t N>
bool isOneOf(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

const Text &textAt(const Arguments &arguments, size_t index,
                   std::string_view method) {
  if (index >= arguments.positional.size())
    fail("'{}' wants {} argument{}", method, index + 1, index ? "s" : "");
  const Text *text = arguments.positional[index].as<Text>();
  if (!text)
    fail("'{}' wants a string, found {}", method,
         arguments.positional[index].typeName());
  return *text;
}

int64_t countAt(const Arguments &arguments, size_t index, std::string_view name,
                std::string_view method) {
  int64_t count = -1;
  if (const Value *value = argument(arguments, index, name);
      value && !value->asInteger(count))
    fail("'{}' wants an integer, found {}", method, value->typeName());
  return count;
}

size_t characterAt(const std::string &bytes, size_t at, uint32_t &codePoint) {
  const Utf8Character c = decodeUtf8(std::string_view(bytes).substr(at));
  codePoint = c.codePoint;
  return c.bytes;
}

List splitAtSpace(const Text &text, int64_t most, bool fromRight) {
  const std::string &bytes = text.bytes();
  std::vector<std::pair<size_t, size_t>> words;
  uint32_t c;
  for (size_t at = 0; at < bytes.size();) {
    size_t size = characterAt(bytes, at, c);
    if (isSpace(c)) {
      at += size;
      continue;
    }
    const size_t begin = at;
    while (at < bytes.size() && (size = characterAt(bytes, at, c), !isSpace(c)))
      at += size;
    words.emplace_back(begin, at);
  }
  List list;
  const size_t kept =
      most < 0 ? words.size()
               : std::min<uint64_t>(words.size(), static_cast<uint64_t>(most));
  const size_t rest = words.size() - kept;
  if (rest && fromRight)
    list.items.push_back(
        strip(text.substr(0, words[rest - 1].second), true, false));
  const size_t first = fromRight ? rest : 0;
  for (size_t i = first; i < first + kept; ++i)
    list.items.push_back(
        text.substr(words[i].first, words[i].second - words[i].first));
  if (rest && !fromRight)
    list.items.push_back(strip(text.substr(words[kept].first), false, true));
  return list;
}

Value split(const Text &text, Arguments &arguments, bool fromRight) {
  checkArguments("split", arguments, 2, {"sep", "maxsplit"});
  const int64_t most = countAt(arguments, 1, "maxsplit", "split");
  const Value *separator = argument(arguments, 0, "sep");
  if (!separator || separator->isNone())
    return splitAtSpace(text, most, fromRight);
  const Text *by = separator->as<Text>();
  if (!by || by->empty())
    fail("'split' wants a separator that is a string and not empty");
  const std::string &bytes = text.bytes();
  List list;
  if (fromRight) {
    size_t end = bytes.size();
    for (int64_t n = 0; n != most && end >= by->size(); ++n) {
      const size_t found = bytes.rfind(by->bytes(), end - by->size());
      if (found == std::string::npos)
        break;
      list.items.push_back(
          text.substr(found + by->size(), end - found - by->size()));
      end = found;
    }
    list.items.push_back(text.substr(0, end));
    std::reverse(list.items.begin(), list.items.end());
    return list;
  }
  size_t begin = 0;
  for (int64_t n = 0; n != most; ++n) {
    const size_t found = bytes.find(by->bytes(), begin);
    if (found == std::string::npos)
      break;
    list.items.push_back(text.substr(begin, found - begin));
    begin = found + by->size();
  }
  list.items.push_back(text.substr(begin));
  return list;
}

Value splitLines(const Text &text) {
  const std::string &bytes = text.bytes();
  List list;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    uint32_t c;
    const size_t size = characterAt(bytes, at, c);
    const bool ends = (c >= 0xA && c <= 0xD) || (c >= 0x1C && c <= 0x1E) ||
                      c == 0x85 || c == 0x2028 || c == 0x2029;
    const size_t end = at;
    at += size;
    if (!ends)
      continue;
    if (c == '\r' && at < bytes.size() && bytes[at] == '\n')
      ++at;
    list.items.push_back(text.substr(begin, end - begin));
    begin = at;
  }
  if (begin < bytes.size())
    list.items.push_back(text.substr(begin));
  return list;
}

Value replace(const Text &text, Arguments &arguments) {
  checkArguments("replace", arguments, 3);
  const Text &old = textAt(arguments, 0, "replace");
  const Text &with = textAt(arguments, 1, "replace");
  const int64_t most = countAt(arguments, 2, "", "replace");
  const std::string &bytes = text.bytes();
  Text result;
  if (old.empty()) {
    // Between all characters and at the ends.
    int64_t n = 0;
    uint32_t c;
    for (size_t at = 0; at <= bytes.size();) {
      if (n != most) {
        result.append(with);
        ++n;
      }
      if (at == bytes.size())
        break;
      const size_t size = characterAt(bytes, at, c);
      result.append(text, at, size);
      at += size;
    }
    return result;
  }
  size_t begin = 0;
  for (int64_t n = 0; n != most; ++n) {
    const size_t found = bytes.find(old.bytes(), begin);
    if (found == std::string::npos)
      break;
    result.append(text, begin, found - begin);
    result.append(with);
    begin = found + old.size();
  }
  result.append(text, begin, bytes.size() - begin);
  return result;
}

enum class Case { Upper, Lower, Capitalize };

Value changeCase(const Text &text, Case to) {
  Text result;
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text.bytes()[at];
    if (static_cast<uint8_t>(c) >= 0x80)
      fail("the case of characters beyond ASCII is not supported");
    const bool upper = to == Case::Upper || (to == Case::Capitalize && at == 0);
    if (upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z')
      result.append(std::string(1, static_cast<char>(c ^ 0x20)),
                    text.substr(at, 1).isTrusted());
    else
      result.append(text, at, 1);
  }
  return result;
}

bool matchesEnd(const Text &text, const Value &what, bool atStart) {
  if (const List *all = what.as<List>(); all && all->isTuple)
    return std::any_of(
        all->items.begin(), all->items.end(),
        [&](const Value &each) { return matchesEnd(text, each, atStart); });
  const Text *part = what.as<Text>();
  if (!part)
    fail("'{}' wants a string, found {}", atStart ? "startswith" : "endswith",
         what.typeName());
  return atStart ? text.bytes().starts_with(part->bytes())
                 : text.bytes().ends_with(part->bytes());
}

Value callText(const Text &text, std::string_view name, Arguments &arguments) {
  if (name == "split" || name == "rsplit")
    return split(text, arguments, name == "rsplit");
  if (name == "splitlines") {
    checkArguments(name, arguments, 0);
    return splitLines(text);
  }
  if (name == "replace")
    return replace(text, arguments);
  if (name == "upper" || name == "lower" || name == "capitalize") {
    checkArguments(name, arguments, 0);
    return changeCase(text, name == "upper"   ? Case::Upper
                            : name == "lower" ? Case::Lower
                                              : Case::Capitalize);
  }
  if (name == "isspace") {
    checkArguments(name, arguments, 0);
    return Value(!text.empty() && strip(text, true, false).empty());
  }
  checkArguments(name, arguments, 1);
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Text *chars = nullptr;
    if (!arguments.positional.empty() && !arguments.positional[0].isNone())
      chars = &textAt(arguments, 0, name);
    return strip(text, name != "rstrip", name != "lstrip", chars);
  }
  if (name == "join") {
    if (arguments.positional.empty())
      fail("'join' wants 1 argument");
    Text result;
    bool first = true;
    for (const Value &each : elementsOf(arguments.positional[0])) {
      const Text *part = each.as<Text>();
      if (!part)
        fail("'join' of {}", each.typeName());
      if (!first)
        result.append(text);
      first = false;
      result.append(*part);
    }
    return result;
  }
  if (name == "startswith" || name == "endswith") {
    if (arguments.positional.empty())
      fail("'{}' wants 1 argument", name);
    return Value(
        matchesEnd(text, arguments.positional[0], name == "startswith"));
  }
  const Text &part = textAt(arguments, 0, name);
  if (name == "removeprefix")
    return text.bytes().starts_with(part.bytes()) ? text.substr(part.size())
                                                  : text;
  if (name == "removesuffix")
    return text.bytes().ends_with(part.bytes())
               ? text.substr(0, text.size() - part.size())
               : text;
  if (name == "find") {
    const size_t found = text.bytes().find(part.bytes());
    return Value(found == std::string::npos
                     ? int64_t{-1}
                     : static_cast<int64_t>(text.substr(0, found).length()));
  }
  // count
  if (part.empty())
    return Value(static_cast<int64_t>(text.length() + 1));
  int64_t count = 0;
  for (size_t at = text.bytes().find(part.bytes()); at != std::string::npos;
       at = text.bytes().find(part.bytes(), at + part.size()))
    ++count;
  return Value(count);
}

Value callDict(const Dict &dict, std::string_view name, Arguments &arguments) {
  if (name == "get") {
    checkArguments(name, arguments, 2);
    if (arguments.positional.empty())
      fail("'get' wants a key");
    const Text *key = arguments.positional[0].as<Text>();
    if (const Value *value = key ? dict.find(key->bytes()) : nullptr)
      return *value;
    return arguments.positional.size() > 1 ? arguments.positional[1]
                                           : Value(None{});
  }
  checkArguments(name, arguments, 0);
  List list;
  for (const auto &[key, value] : dict.items)
    if (name == "keys")
      list.items.emplace_back(key);
    else if (name == "values")
      list.items.push_back(value);
    else
      list.items.emplace_back(List{{Value(key), value}, /*isTuple=*/true});
  return list;
}

Value callList(const List &list, std::string_view name, Arguments &arguments) {
  checkArguments(name, arguments, 1);
  if (arguments.positional.empty())
    fail("'{}' wants 1 argument", name);
  int64_t count = 0;
  for (size_t i = 0; i < list.items.size(); ++i)
    if (equal(list.items[i], arguments.positional[0])) {
      if (name == "index")
        return Value(static_cast<int64_t>(i));
      ++count;
    }
  if (name == "index")
    fail("'index': the value is not in the list");
  return Value(count);
}

} // namespace

bool isMethodName(std::string_view name) {
  return isOneOf(kTextMethods, name) || isOneOf(kDictMethods, name) ||
         isOneOf(kListMethods, name);
}

bool hasMethod(const Value &value, std::string_view name) {
  return (value.as<Text>() && isOneOf(kTextMethods, name)) ||
         (value.as<Dict>() && isOneOf(kDictMethods, name)) ||
         (value.as<List>() && isOneOf(kListMethods, name));
}

Value callMethod(const Value &value, std::string_view name,
                 Arguments &arguments) {
  if (const Text *text = value.as<Text>())
    return callText(*text, name, arguments);
  if (const Dict *dict = value.as<Dict>())
    return callDict(*dict, name, arguments);
  return callList(*value.as<List>(), name, arguments);
}

Value memberOf(const Value &value, const Text &name) {
  if (value.isUndefined())
    fail("'{}' is undefined", value.as<Undefined>()->name);
  const Namespace *space = value.asNamespace();
  const Dict *dict = space ? &space->members : value.as<Dict>();
  if (const Value *member = dict ? dict->find(name.bytes()) : nullptr)
    return *member;
  return Value::undefined(name.bytes());
}

Value itemOf(const Value &value, const Value &key) {
  if (const Text *name = key.as<Text>())
    return memberOf(value, *name);
  if (value.isUndefined())
    fail("'{}' is undefined", value.as<Undefined>()->name);
  int64_t index = 0;
  if (!key.asInteger(index))
    return Value::undefined("item");
  const Text *text = value.as<Text>();
  const List *list = value.as<List>();
  const auto size = static_cast<int64_t>(text   ? text->length()
                                         : list ? list->items.size()
                                                : 0);
  if (index < 0)
    index += size;
  if (index < 0 || index >= size)
    return Value::undefined("item");
  if (list)
    return list->items[static_cast<size_t>(index)];
  const size_t begin = text->offsetOf(static_cast<size_t>(index));
  uint32_t c;
  return text->substr(begin, characterAt(text->bytes(), begin, c));
}

std::vector<Value> elementsOf(const Value &value) {
  std::vector<Value> result;
  if (const List *list = value.as<List>())
    return list->items;
  if (const Dict *dict = value.as<Dict>()) {
    for (const auto &[key, each] : dict->items)
      result.emplace_back(key);
  } else if (const Text *text = value.as<Text>()) {
    uint32_t c;
    for (size_t at = 0; at < text->size();) {
      const size_t size = characterAt(text->bytes(), at, c);
      result.emplace_back(text->substr(at, size));
      at += size;
    }
  } else if (!value.isUndefined()) {
    fail("{} has no elements", value.typeName());
  }
  return result;
}

namespace {
void checkHashable(const Value &value) {
  const List *list = value.as<List>();
  if (value.as<Dict>() || (list && !list->isTuple))
    fail("{} cannot be a key", value.typeName());
  if (list)
    for (const Value &each : list->items)
      checkHashable(each);
}
} // namespace

bool contains(const Value &container, const Value &element) {
  if (const Text *text = container.as<Text>()) {
    const Text *part = element.as<Text>();
    if (!part)
      fail("'in' of a string wants a string, found {}", element.typeName());
    return text->bytes().find(part->bytes()) != std::string::npos;
  }
  if (const Dict *dict = container.as<Dict>()) {
    checkHashable(element);
    const Text *key = element.as<Text>();
    return key && dict->find(key->bytes());
  }
  if (const List *list = container.as<List>())
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value &each) { return equal(each, element); });
  if (container.isUndefined())
    return false;
  fail("'in' of {}", container.typeName());
}

int compare(const Value &a, const Value &b) {
  int64_t left, right;
  if (a.asInteger(left) && b.asInteger(right))
    return left < right ? -1 : left > right;
  if (a.isNumber() && b.isNumber()) {
    const double x = a.asDouble(), y = b.asDouble();
    return std::isnan(x) || std::isnan(y) ? 2 : x < y ? -1 : x > y;
  }
  // UTF-8 orders as its code points do.
  if (a.as<Text>() && b.as<Text>()) {
    const int order = a.as<Text>()->bytes().compare(b.as<Text>()->bytes());
    return order < 0 ? -1 : order > 0;
  }
  const List *x = a.as<List>(), *y = b.as<List>();
  if (x && y && x->isTuple == y->isTuple) {
    for (size_t i = 0; i < std::min(x->items.size(), y->items.size()); ++i)
      if (!equal(x->items[i], y->items[i]))
        return compare(x->items[i], y->items[i]);
    return x->items.size() < y->items.size()
               ? -1
               : x->items.size() > y->items.size();
  }
  fail("{} and {} have no order", a.typeName(), b.typeName());
}

} // namespace hadal::chat
