#include "schedule/Prune.h"

namespace hadal::schedule {

std::string_view idOf(Prune code) {
  static constexpr std::string_view kIds[] = {
#define HADAL_PRUNE(id, sentence) #id,
      HADAL_FOR_EACH_PRUNE(HADAL_PRUNE)
#undef HADAL_PRUNE
  };
  return kIds[static_cast<size_t>(code)];
}

std::string_view sentenceOf(Prune code) {
  static constexpr std::string_view kSentences[] = {
#define HADAL_PRUNE(id, sentence) sentence,
      HADAL_FOR_EACH_PRUNE(HADAL_PRUNE)
#undef HADAL_PRUNE
  };
  return kSentences[static_cast<size_t>(code)];
}

} // namespace hadal::schedule
