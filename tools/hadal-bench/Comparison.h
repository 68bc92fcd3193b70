// What an entry should take of a rank beside what it took.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/hadal-predict/Prediction.h"
#include "tools/profile/Exposure.h"

namespace hadal::bench {

struct Comparison {
  std::string entry;
  profile::EntryTimes measured;
  /// By the event model that hadal-predict uses: kernels and the gaps between
  /// them as they were measured, collectives as |links| say.
  predict::EntryPrediction predicted;
  cost::Cluster links;
};

/// Of entry |index| of |run|, in steps of |tokens| of a rank, over |links|.
/// Errors of predict::predictBody().
StatusOr<Comparison> compare(const profile::RunProfile &run, size_t index,
                             double tokens, cost::Cluster links);

std::string comparisonText(const Comparison &comparison);
nlohmann::ordered_json comparisonJson(const Comparison &comparison);

} // namespace hadal::bench
