#include "kernels/SpecText.h"

#include <algorithm>
#include <charconv>

namespace hadal::kernels {

namespace {

template <typename T> constexpr bool isOptionalWord = false;
template <typename Enum>
constexpr bool isOptionalWord<OptionalWord<Enum>> = true;

//===----------------------------------------------------------------------===//
// Completeness of the field lists
//===----------------------------------------------------------------------===//

/// Stands for any member's initialiser.
struct AnyMember {
  template <typename T> operator T() const;
};

template <typename Spec, typename... Members> constexpr int countMembers() {
  if constexpr (requires { Spec{Common{}, Members{}..., AnyMember{}}; })
    return countMembers<Spec, Members..., AnyMember>();
  else
    return sizeof...(Members);
}

template <typename Spec> constexpr int countFields() {
  Spec spec{};
  int count = 0;
  Spec::fields(spec, [&](std::string_view, auto &) { ++count; });
  return count;
}

// A member that no list names would be lost on the way to the artifact.
#define HADAL_CHECK_FIELDS(K)                                                  \
  static_assert(countFields<K##Spec>() ==                                      \
                    countFields<Common>() + countMembers<K##Spec>(),           \
                #K "Spec::fields() and the members differ");
HADAL_FOR_EACH_KERNEL(HADAL_CHECK_FIELDS)
#undef HADAL_CHECK_FIELDS

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Assigns the fields of a spec from a text and keeps the first mistake.
class FieldReader {
public:
  explicit FieldReader(const SpecText &text)
      : text(text), used(text.fields.size()) {}

  void operator()(std::string_view name, int64_t &field) {
    number(name, field, "a whole number");
  }
  void operator()(std::string_view name, double &field) {
    number(name, field, "a number");
  }
  void operator()(std::string_view name, bool &field) {
    if (const std::string *value = find(name)) {
      field = *value == "true";
      if (!field && *value != "false")
        expected(name, *value, "true or false");
    }
  }
  void operator()(std::string_view name, OptionalFlag &field) {
    bool value = false;
    if (isGiven(name))
      (*this)(name, value);
    field = value;
  }
  template <typename Enum>
  void operator()(std::string_view name, OptionalWord<Enum> &field) {
    if (isGiven(name))
      (*this)(name, field.word);
  }
  template <typename Enum> void operator()(std::string_view name, Enum &field) {
    const std::string *value = find(name);
    if (!value)
      return;
    std::string words;
    int index = 0;
    for (std::string_view word : wordsOf(field)) {
      if (word == *value) {
        field = static_cast<Enum>(index);
        return;
      }
      words += (index++ ? ", " : "") + std::string(word);
    }
    expected(name, *value, "one of " + words);
  }

  /// The first mistake; of fields that no list names if there was no other.
  std::string finish() {
    for (size_t i = 0; i < used.size(); ++i)
      if (!used[i])
        fail("it has no field '" + text.fields[i].first + "'");
    return error;
  }

private:
  void fail(const std::string &what) {
    if (error.empty())
      error = what;
  }
  void expected(std::string_view name, const std::string &value,
                const std::string &what) {
    fail("field '" + std::string(name) + "' is '" + value + "', expected " +
         what);
  }

  bool isGiven(std::string_view name) const {
    return std::any_of(text.fields.begin(), text.fields.end(),
                       [&](const auto &field) { return field.first == name; });
  }

  /// The value of |name|; null, with the mistake kept, if it is not given once.
  const std::string *find(std::string_view name) {
    const std::string *value = nullptr;
    for (size_t i = 0; i < used.size(); ++i) {
      if (text.fields[i].first != name)
        continue;
      used[i] = true;
      if (value)
        fail("field '" + std::string(name) + "' is given twice");
      value = &text.fields[i].second;
    }
    if (!value)
      fail("field '" + std::string(name) + "' is missing");
    return value;
  }

  template <typename T>
  void number(std::string_view name, T &field, const char *what) {
    const std::string *value = find(name);
    if (!value)
      return;
    const char *end = value->data() + value->size();
    auto [at, result] = std::from_chars(value->data(), end, field);
    if (result != std::errc() || at != end)
      expected(name, *value, what);
  }

  const SpecText &text;
  std::vector<bool> used;
  std::string error;
};

template <typename Spec> ParsedSpec parseAs(const SpecText &text) {
  Spec spec{};
  FieldReader reader(text);
  Spec::fields(spec, reader);
  ParsedSpec parsed;
  parsed.error = reader.finish();
  if (parsed.error.empty())
    parsed.spec = spec;
  return parsed;
}

} // namespace

ParsedSpec parseSpec(const SpecText &text) {
  std::string kinds;
#define HADAL_PARSE_KIND(K)                                                    \
  if (text.kind == K##Spec::kKind)                                             \
    return parseAs<K##Spec>(text);                                             \
  kinds += (kinds.empty() ? "" : ", ") + std::string(K##Spec::kKind);
  HADAL_FOR_EACH_KERNEL(HADAL_PARSE_KIND)
#undef HADAL_PARSE_KIND
  return {{},
          "no kernel is of kind '" + text.kind + "', expected one of " + kinds};
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

std::string_view kindOf(const AnySpec &spec) {
  return std::visit([](const auto &s) { return s.kKind; }, spec);
}

std::vector<std::pair<std::string_view, SpecValue>>
valuesOf(const AnySpec &spec) {
  std::vector<std::pair<std::string_view, SpecValue>> values;
  auto add = [&](std::string_view name, const auto &field) {
    using T = std::decay_t<decltype(field)>;
    if constexpr (std::is_enum_v<T>) {
      values.emplace_back(name, wordsOf(field)[static_cast<size_t>(field)]);
    } else if constexpr (std::is_same_v<T, OptionalFlag>) {
      if (field)
        values.emplace_back(name, true);
    } else if constexpr (isOptionalWord<T>) {
      if (field != decltype(field.word){})
        values.emplace_back(
            name, wordsOf(field.word)[static_cast<size_t>(field.word)]);
    } else {
      values.emplace_back(name, field);
    }
  };
  std::visit([&](const auto &s) { s.fields(s, add); }, spec);
  return values;
}

std::string printValue(const SpecValue &value) {
  char digits[32];
  auto number = [&](auto n) {
    return std::string(digits,
                       std::to_chars(digits, digits + sizeof(digits), n).ptr);
  };
  if (const auto *flag = std::get_if<bool>(&value))
    return *flag ? "true" : "false";
  if (const auto *word = std::get_if<std::string_view>(&value))
    return std::string(*word);
  if (const auto *real = std::get_if<double>(&value))
    return number(*real);
  return number(std::get<int64_t>(value));
}

SpecText toText(const AnySpec &spec) {
  SpecText text;
  text.kind = kindOf(spec);
  for (const auto &[name, value] : valuesOf(spec))
    text.fields.emplace_back(name, printValue(value));
  return text;
}

std::string printSpec(const AnySpec &spec) {
  std::string text = "kind=" + std::string(kindOf(spec));
  for (const auto &[name, value] : valuesOf(spec))
    text += " " + std::string(name) + "=" + printValue(value);
  return text;
}

std::string symbolFor(const AnySpec &spec) {
  std::string_view pattern =
      std::visit([](const auto &s) { return s.kSymbol; }, spec);
  std::string symbol, optional;
  bool inOptional = false, leaveOut = false;
  while (!pattern.empty()) {
    std::string &out = inOptional ? optional : symbol;
    const char c = pattern.front();
    pattern.remove_prefix(1);
    if (c == '[') {
      inOptional = true;
      leaveOut = false;
      optional.clear();
    } else if (c == ']') {
      inOptional = false;
      if (!leaveOut)
        symbol += optional;
    } else if (c == '{') {
      const std::string_view name = pattern.substr(0, pattern.find('}'));
      pattern.remove_prefix(name.size() + 1);
      auto write = [&](std::string_view field, const auto &value) {
        if (field != name)
          return;
        using T = std::decay_t<decltype(value)>;
        leaveOut = value == T{};
        if constexpr (std::is_enum_v<T>)
          out += wordsOf(value)[static_cast<size_t>(value)];
        else if constexpr (isOptionalWord<T>)
          out += wordsOf(value.word)[static_cast<size_t>(value.word)];
        else if constexpr (std::is_same_v<T, bool> ||
                           std::is_same_v<T, OptionalFlag>)
          out += name;
        else
          out += printValue(value);
      };
      std::visit([&](const auto &s) { s.fields(s, write); }, spec);
    } else {
      out += c;
    }
  }
  return symbol;
}

} // namespace hadal::kernels
