#include "schedule/Words.h"

#include <charconv>

namespace hadal::schedule {

std::string toString(const Value &value) {
  if (auto *number = std::get_if<int64_t>(&value))
    return std::to_string(*number);
  if (auto *flag = std::get_if<bool>(&value))
    return *flag ? "true" : "false";
  return std::get<std::string>(value);
}

std::string toString(const std::vector<Value> &values) {
  if (values.empty())
    return "none";
  // Five numbers or more at one distance are a range.
  std::vector<int64_t> numbers;
  for (const Value &value : values)
    if (auto *number = std::get_if<int64_t>(&value))
      numbers.push_back(*number);
  if (numbers.size() == values.size() && numbers.size() >= 5) {
    int64_t step = numbers[1] - numbers[0];
    bool even = true;
    for (size_t i = 1; i < numbers.size(); ++i)
      even &= numbers[i] - numbers[i - 1] == step;
    if (even)
      return std::to_string(numbers.front()) + " to " +
             std::to_string(numbers.back()) +
             (step == 1 ? "" : " in steps of " + std::to_string(step));
  }
  std::string text;
  for (const Value &value : values)
    text += (text.empty() ? "" : ", ") + toString(value);
  return text;
}

std::string_view toString(Origin origin) {
  switch (origin) {
  case Origin::rule:
    return "rule";
  case Origin::option:
    return "option";
  case Origin::edit:
    return "edit";
  case Origin::tuned:
    return "tuned";
  }
  return "";
}

static Value parseValue(std::string_view text) {
  int64_t number = 0;
  auto [end, problem] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem == std::errc() && end == text.data() + text.size())
    return number;
  if (text == "true" || text == "false")
    return text == "true";
  return std::string(text);
}

bool parseWords(std::string_view text, Words &words, std::string &error) {
  while (true) {
    std::string_view item = text.substr(0, text.find(','));
    size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0 ||
        equals + 1 == item.size()) {
      error = "'" + std::string(item) + "' is not WORD=VALUE";
      return false;
    }
    std::string word(item.substr(0, equals));
    if (!words.emplace(word, parseValue(item.substr(equals + 1))).second) {
      error = "the word '" + word + "' is given twice";
      return false;
    }
    if (item.size() == text.size())
      return true;
    text.remove_prefix(item.size() + 1);
  }
}

} // namespace hadal::schedule
