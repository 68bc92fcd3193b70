#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/chat/Builtins.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::chat {

namespace {

/// Texts of other values as jinja2's soft_str().
Text softText(const Value &value) { return toText(value); }

/// The method of the text that |value| prints as.
template <size_t kMost>
Value asMethod(const char *name, const Value &value, Arguments &arguments) {
  checkArguments(name, arguments, kMost);
  return callMethod(softText(value), name, arguments);
}

int64_t integerArgument(const Value *value, const char *what) {
  int64_t integer = 0;
  if (!value || !value->asInteger(integer))
    fail("{} wants an integer", what);
  return integer;
}

const Text &textArgument(const Value *value, const char *what) {
  const Text *text = value ? value->as<Text>() : nullptr;
  if (!text)
    fail("{} wants a string", what);
  return *text;
}

/// The member that a dotted path such as "function.name" leads to.
Value followPath(Value value, const Value &path) {
  int64_t index = 0;
  if (path.asInteger(index))
    return itemOf(value, path);
  const Text &text = textArgument(&path, "an attribute's name");
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.bytes().find('.', at), text.size());
    const Text part = text.substr(at, end - at);
    int64_t number = 0;
    const char *last = part.bytes().data() + part.size();
    const auto [stop, failure] =
        std::from_chars(part.bytes().data(), last, number);
    value = itemOf(value, failure == std::errc() && stop == last ? Value(number)
                                                                 : Value(part));
    at = end + 1;
  }
  return value;
}

Arguments behind(const Arguments &arguments, size_t first) {
  Arguments rest;
  if (arguments.positional.size() > first)
    rest.positional.assign(arguments.positional.begin() +
                               static_cast<ptrdiff_t>(first),
                           arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

/// What jinja2's lazy filters go through: a false value of any type is empty.
std::vector<Value> elementsIfAny(const Value &input) {
  return input.truth() ? elementsOf(input) : std::vector<Value>();
}

template <bool kByAttribute, bool kKept>
Value select(const Value &input, Arguments &arguments) {
  const size_t first = kByAttribute;
  if (kByAttribute && arguments.positional.empty())
    fail("selectattr wants an attribute");
  TestFunction test = nullptr;
  if (const Value *name = argument(arguments, first, "")) {
    test = findTest(textArgument(name, "select").bytes());
    if (!test)
      fail("select: there is no such test");
  }
  Arguments rest = behind(arguments, first + 1);
  List result;
  for (Value &each : elementsIfAny(input)) {
    const Value tested =
        kByAttribute ? followPath(each, arguments.positional[0]) : each;
    if ((test ? test(tested, rest) : tested.truth()) == kKept)
      result.items.push_back(std::move(each));
  }
  return result;
}

Value filterMap(const Value &input, Arguments &arguments) {
  List result;
  if (arguments.positional.empty()) {
    checkArguments("map", arguments, 0, {"attribute", "default"});
    const Value *path = argument(arguments, 0, "attribute");
    if (!path)
      fail("map wants a filter or attribute=");
    const Value *otherwise = argument(arguments, 1, "default");
    for (const Value &each : elementsIfAny(input)) {
      Value member = followPath(each, *path);
      result.items.push_back(member.isUndefined() && otherwise ? *otherwise
                                                               : member);
    }
    return result;
  }
  const FilterFunction filter =
      findFilter(textArgument(&arguments.positional[0], "map").bytes());
  if (!filter)
    fail("map: there is no such filter");
  for (const Value &each : elementsIfAny(input)) {
    Arguments rest = behind(arguments, 1);
    result.items.push_back(filter(each, rest));
  }
  return result;
}

Value filterJoin(const Value &input, Arguments &arguments) {
  checkArguments("join", arguments, 2, {"d", "attribute"});
  const Value *separator = argument(arguments, 0, "d");
  const Value *path = argument(arguments, 1, "attribute");
  const Text between = separator ? toText(*separator) : Text();
  Text result;
  bool first = true;
  for (const Value &each : elementsOf(input)) {
    if (!first)
      result.append(between);
    first = false;
    result.append(toText(path ? followPath(each, *path) : each));
  }
  return result;
}

Value filterDefault(const Value &input, Arguments &arguments) {
  checkArguments("default", arguments, 2, {"default_value", "boolean"});
  const Value *otherwise = argument(arguments, 0, "default_value");
  const Value *boolean = argument(arguments, 1, "boolean");
  if (input.isUndefined() || (boolean && boolean->truth() && !input.truth()))
    return otherwise ? *otherwise : Value(Text());
  return input;
}

Value filterFirst(const Value &input, Arguments &arguments) {
  checkArguments("first", arguments, 0);
  std::vector<Value> all = elementsOf(input);
  return all.empty() ? Value::undefined("first of nothing") : all.front();
}

Value filterLast(const Value &input, Arguments &arguments) {
  checkArguments("last", arguments, 0);
  std::vector<Value> all = elementsOf(input);
  return all.empty() ? Value::undefined("last of nothing") : all.back();
}

Value filterLength(const Value &input, Arguments &arguments) {
  checkArguments("length", arguments, 0);
  if (const Text *text = input.as<Text>())
    return Value(static_cast<int64_t>(text->length()));
  if (const List *list = input.as<List>())
    return Value(static_cast<int64_t>(list->items.size()));
  if (const Dict *dict = input.as<Dict>())
    return Value(static_cast<int64_t>(dict->items.size()));
  if (input.isUndefined())
    return Value(int64_t{0});
  fail("{} has no length", input.typeName());
}

Value filterToJson(const Value &input, Arguments &arguments) {
  checkArguments("tojson", arguments, 4,
                 {"ensure_ascii", "indent", "separators", "sort_keys"});
  const Value *ascii = argument(arguments, 0, "ensure_ascii");
  const Value *indent = argument(arguments, 1, "indent");
  const Value *separators = argument(arguments, 2, "separators");
  const Value *sort = argument(arguments, 3, "sort_keys");
  if (ascii && ascii->truth())
    fail("tojson: ensure_ascii is not supported");
  if (separators && !separators->isNone())
    fail("tojson: separators are not supported");
  int64_t spaces = -1;
  if (indent && !indent->isNone())
    spaces =
        std::clamp<int64_t>(integerArgument(indent, "tojson: indent"), 0, 64);
  return toJson(input, spaces, sort && sort->truth());
}

Value filterInt(const Value &input, Arguments &arguments) {
  checkArguments("int", arguments, 1, {"default"});
  int64_t integer = 0;
  if (input.isUndefined())
    fail("'{}' is undefined", input.as<Undefined>()->name);
  if (input.asInteger(integer))
    return Value(integer);
  if (const double *number = input.as<double>();
      number && std::abs(*number) < 9e18)
    return Value(static_cast<int64_t>(*number));
  if (const Text *text = input.as<Text>()) {
    const Text digits = strip(*text, true, true);
    std::string_view bytes = digits.bytes();
    if (bytes.starts_with('+') && !bytes.starts_with("+-"))
      bytes.remove_prefix(1);
    double number = 0;
    const char *end = bytes.data() + bytes.size();
    if (auto [stop, failure] = std::from_chars(bytes.data(), end, integer);
        failure == std::errc() && stop == end)
      return Value(integer);
    if (auto [stop, failure] = std::from_chars(bytes.data(), end, number);
        failure == std::errc() && stop == end && std::abs(number) < 9e18)
      return Value(static_cast<int64_t>(number));
  }
  const Value *otherwise = argument(arguments, 0, "default");
  return otherwise ? *otherwise : Value(int64_t{0});
}

Value filterList(const Value &input, Arguments &arguments) {
  checkArguments("list", arguments, 0);
  return List{elementsOf(input)};
}

Value filterItems(const Value &input, Arguments &arguments) {
  checkArguments("items", arguments, 0);
  if (input.isUndefined())
    return List();
  if (!input.as<Dict>())
    fail("items of {}", input.typeName());
  return callMethod(input, "items", arguments);
}

Value filterString(const Value &input, Arguments &arguments) {
  checkArguments("string", arguments, 0);
  return toText(input);
}

Value filterAbs(const Value &input, Arguments &arguments) {
  checkArguments("abs", arguments, 0);
  int64_t integer = 0;
  if (input.asInteger(integer) && integer != INT64_MIN)
    return Value(integer < 0 ? -integer : integer);
  if (!input.as<double>())
    fail("abs of {}", input.typeName());
  return Value(std::abs(input.asDouble()));
}

Value filterReverse(const Value &input, Arguments &arguments) {
  checkArguments("reverse", arguments, 0);
  List list{elementsOf(input)};
  std::reverse(list.items.begin(), list.items.end());
  if (!input.as<Text>())
    return list;
  Text text;
  for (const Value &each : list.items)
    text.append(*each.as<Text>());
  return text;
}

Value filterTrim(const Value &input, Arguments &arguments) {
  return asMethod<1>("strip", input, arguments);
}
Value filterUpper(const Value &input, Arguments &arguments) {
  return asMethod<0>("upper", input, arguments);
}
Value filterLower(const Value &input, Arguments &arguments) {
  return asMethod<0>("lower", input, arguments);
}
Value filterCapitalize(const Value &input, Arguments &arguments) {
  return asMethod<0>("capitalize", input, arguments);
}
Value filterReplace(const Value &input, Arguments &arguments) {
  checkArguments("replace", arguments, 3, {"old", "new", "count"});
  const Value *old = argument(arguments, 0, "old");
  const Value *with = argument(arguments, 1, "new");
  const Value *count = argument(arguments, 2, "count");
  if (!old || !with)
    fail("replace wants two strings");
  Arguments plain;
  plain.positional = {toText(*old), toText(*with)};
  if (count && !count->isNone())
    plain.positional.push_back(*count);
  return callMethod(softText(input), "replace", plain);
}

struct NamedFilter {
  std::string_view name;
  FilterFunction function;
};
constexpr NamedFilter kFilters[] = {
    {"trim", filterTrim},
    {"default", filterDefault},
    {"d", filterDefault},
    {"join", filterJoin},
    {"first", filterFirst},
    {"last", filterLast},
    {"upper", filterUpper},
    {"lower", filterLower},
    {"capitalize", filterCapitalize},
    {"replace", filterReplace},
    {"map", filterMap},
    {"selectattr", select<true, true>},
    {"rejectattr", select<true, false>},
    {"select", select<false, true>},
    {"reject", select<false, false>},
    {"length", filterLength},
    {"count", filterLength},
    {"tojson", filterToJson},
    {"list", filterList},
    {"items", filterItems},
    {"string", filterString},
    {"int", filterInt},
    {"abs", filterAbs},
    {"reverse", filterReverse},
};

// ---- tests

template <typename T> bool isA(const Value &value, Arguments &) {
  return value.as<T>();
}
template <bool kDefined> bool testDefined(const Value &value, Arguments &) {
  return value.isUndefined() != kDefined;
}
bool testNumber(const Value &value, Arguments &) { return value.isNumber(); }
bool testSequence(const Value &value, Arguments &) {
  return value.as<Text>() || value.as<List>() || value.as<Dict>() ||
         value.isUndefined();
}
bool testCallable(const Value &value, Arguments &) {
  // jinja2's undefined values can be called, to raise an error.
  return value.as<Function>() || value.isUndefined();
}
template <bool kValue> bool testTruth(const Value &value, Arguments &) {
  const bool *truth = value.as<bool>();
  return truth && *truth == kValue;
}
int64_t remainderOf(const Value &value, int64_t by) {
  int64_t integer = 0;
  if (!value.asInteger(integer) || by == 0)
    fail("a remainder of {} and {}", value.typeName(), by);
  return by == -1 ? 0 : integer % by;
}
/// Whether Python's value % 2 is |remainder|.
template <int kRemainder> bool testParity(const Value &value, Arguments &) {
  if (const double *number = value.as<double>())
    return *number - 2 * std::floor(*number / 2) == kRemainder;
  return std::abs(remainderOf(value, 2)) == kRemainder;
}
bool testDivisible(const Value &value, Arguments &arguments) {
  return remainderOf(value, integerArgument(argument(arguments, 0, "num"),
                                            "divisibleby")) == 0;
}
const Value &other(Arguments &arguments) {
  const Value *value = argument(arguments, 0, "other");
  if (!value)
    fail("the test wants a value to compare with");
  return *value;
}
bool testEqual(const Value &value, Arguments &arguments) {
  return equal(value, other(arguments));
}
bool testNotEqual(const Value &value, Arguments &arguments) {
  return !equal(value, other(arguments));
}
bool testIn(const Value &value, Arguments &arguments) {
  return contains(other(arguments), value);
}

struct NamedTest {
  std::string_view name;
  TestFunction function;
};
constexpr NamedTest kTests[] = {
    {"defined", testDefined<true>},
    {"undefined", testDefined<false>},
    {"none", isA<None>},
    {"string", isA<Text>},
    {"number", testNumber},
    {"integer", isA<int64_t>},
    {"float", isA<double>},
    {"boolean", isA<bool>},
    {"mapping", isA<Dict>},
    {"sequence", testSequence},
    {"iterable", testSequence},
    {"callable", testCallable},
    {"true", testTruth<true>},
    {"false", testTruth<false>},
    {"odd", testParity<1>},
    {"even", testParity<0>},
    {"divisibleby", testDivisible},
    {"eq", testEqual},
    {"equalto", testEqual},
    {"ne", testNotEqual},
    {"in", testIn},
};

template <typename Table>
auto findIn(const Table &table, std::string_view name) {
  for (const auto &each : table)
    if (each.name == name)
      return each.function;
  return decltype(table[0].function)(nullptr);
}

} // namespace

FilterFunction findFilter(std::string_view name) {
  return findIn(kFilters, name);
}
TestFunction findTest(std::string_view name) { return findIn(kTests, name); }

const Value *argument(const Arguments &arguments, size_t index,
                      std::string_view name) {
  if (index < arguments.positional.size())
    return &arguments.positional[index];
  for (const auto &[each, value] : arguments.named)
    if (each == name)
      return &value;
  return nullptr;
}

void checkArguments(std::string_view function, const Arguments &arguments,
                    size_t most,
                    std::initializer_list<std::string_view> names) {
  if (arguments.positional.size() > most)
    fail("'{}' takes at most {} arguments, found {}", function, most,
         arguments.positional.size());
  for (const auto &[name, value] : arguments.named) {
    auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end())
      fail("'{}' has no argument '{}'", function, name);
    if (static_cast<size_t>(known - names.begin()) <
        arguments.positional.size())
      fail("'{}' is given the argument '{}' twice", function, name);
  }
}

} // namespace hadal::chat
