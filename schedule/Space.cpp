#include "schedule/Space.h"

namespace hadal::schedule {

std::string describeUnknown(std::string_view word,
                            const std::vector<std::string_view> &known) {
  std::string text = "the schedule has no word '" + std::string(word) +
                     "'; words of this kernel: ";
  if (known.empty())
    return text + "none";
  for (size_t i = 0; i < known.size(); ++i)
    text += (i ? ", " : "") + std::string(known[i]);
  return text;
}

static std::string describe(const Broken &broken) {
  return " (" + std::string(idOf(broken.code)) + ": " + broken.numbers + ")";
}

std::string describeIllegal(std::string_view word, const Value &value,
                            const std::vector<Value> &legal,
                            const Check &broken) {
  return "the word '" + std::string(word) + "' is " + toString(value) +
         "; legal values: " + toString(legal) +
         (broken ? describe(*broken) : "");
}

std::string describeFollowing(std::string_view word, const Value &value,
                              const Broken &broken) {
  return "the word '" + std::string(word) + "' would be " + toString(value) +
         " beside the words that are given" + describe(broken);
}

} // namespace hadal::schedule
