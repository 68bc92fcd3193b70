#include "cost/Prediction.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace hadal::cost {

std::string_view toString(Term term) {
  static constexpr std::string_view kWords[] = {
#define HADAL_TERM(name, word) word,
      HADAL_FOR_EACH_TERM(HADAL_TERM)
#undef HADAL_TERM
  };
  return kWords[static_cast<size_t>(term)];
}

Term Prediction::bound() const {
  return static_cast<Term>(std::max_element(terms.begin(), terms.end()) -
                           terms.begin());
}

std::string Prediction::describe() const {
  std::vector<size_t> order;
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i] > 0 && terms[i] >= 0.1 * seconds)
      order.push_back(i);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return terms[a] != terms[b] ? terms[a] > terms[b] : a < b;
  });
  std::string text;
  for (size_t i : order)
    text +=
        fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ",
                    toString(static_cast<Term>(i)), 100 * terms[i] / seconds);
  return text;
}

} // namespace hadal::cost
