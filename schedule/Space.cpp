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

std::string describeIllegal(std::string_view word, const Value &value,
                            const std::vector<Value> &legal) {
  return "the word '" + std::string(word) + "' is " + toString(value) +
         "; legal values: " + toString(legal);
}

} // namespace hadal::schedule
