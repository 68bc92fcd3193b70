// The words of a schedule, as data: no compiler types.
//
// A kernel is a spec (what it computes) and a schedule (how). A schedule is a
// complete dictionary of the words that its kind of kernel has on its target;
// schedule/Space.h says which these are.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hadal::schedule {

/// What a word says: a number, a flag or a text.
using Value = std::variant<int64_t, bool, std::string>;

/// "64", "true", "panel".
std::string toString(const Value &value);
/// The values for a message: "64, 128", "8 to 64 in steps of 8", or "none".
std::string toString(const std::vector<Value> &values);

/// Where a word's value comes from: a rule of schedule/, the option --schedule,
/// a file of IR that was edited, or a database of schedules.
enum class Origin { rule, option, edit, tuned };
std::string_view toString(Origin origin);

using Words = std::map<std::string, Value, std::less<>>;

/// A complete schedule.
struct Schedule {
  Words words;
  /// Of the words that no rule chose.
  std::map<std::string, Origin, std::less<>> given;

  /// The value of |word|; null if there is none of type T.
  template <typename T> const T *find(std::string_view word) const {
    auto at = words.find(word);
    return at == words.end() ? nullptr : std::get_if<T>(&at->second);
  }
  bool operator==(const Schedule &other) const { return words == other.words; }
};

/// Reads "word=value,word=value" (the value of --schedule behind its colon):
/// digits are a number, true and false flags, all else a text. False, with
/// |error| set, if |text| has another form or names a word twice.
bool parseWords(std::string_view text, Words &words, std::string &error);

} // namespace hadal::schedule
