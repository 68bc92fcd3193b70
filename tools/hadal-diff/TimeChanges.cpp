// Predicted times: the sum over the launches, by the cost model.
#include <algorithm>
#include <cmath>
#include <map>

#include "tools/hadal-diff/Differences.h"
#include "tools/hadal-predict/ChipCluster.h"
#include "tools/hadal-predict/Prediction.h"

namespace hadal::diff {

namespace {

/// How many kernels a difference is explained by.
constexpr size_t kMostKernels = 5;

struct Contribution {
  double us = 0;
  unsigned launches = 0;
  std::string bound;

  std::string toString() const {
    return launches ? fmt::format("{:.1f} us in {} launches, {}", us, launches,
                                  bound)
                    : "0 us";
  }
};

std::map<std::string, Contribution>
contributions(const Artifact &artifact, const predict::EntryPrediction &entry) {
  std::map<std::string, Contribution> byKernel;
  for (const predict::LaunchCost &cost : entry.launchCosts) {
    Contribution &one =
        byKernel[artifact.root().kernels()->Get(cost.kernel)->name()->str()];
    one.us += cost.us;
    ++one.launches;
    one.bound = predict::boundName(cost.bound);
  }
  return byKernel;
}

void compareEntry(const Artifact &a, const predict::EntryPrediction &mine,
                  const Artifact &b, const predict::EntryPrediction &theirs,
                  const std::string &where, Changes &changes) {
  auto text = [](double us) { return fmt::format("{:.1f} us", us); };
  if (text(mine.stepUs) == text(theirs.stepUs))
    return;
  changes.compare("time", mine.name, "predicted step on " + where + ",",
                  text(mine.stepUs), text(theirs.stepUs));
  auto before = contributions(a, mine), after = contributions(b, theirs);
  std::vector<std::string> kernels;
  for (const auto &[kernel, one] : before)
    kernels.push_back(kernel);
  for (const auto &[kernel, one] : after)
    if (!before.contains(kernel))
      kernels.push_back(kernel);
  auto change = [&](const std::string &kernel) {
    return std::abs(before[kernel].us - after[kernel].us);
  };
  std::sort(kernels.begin(), kernels.end(),
            [&](const std::string &x, const std::string &y) {
              return std::pair(-change(x), x) < std::pair(-change(y), y);
            });
  if (kernels.size() > kMostKernels)
    kernels.resize(kMostKernels);
  for (const std::string &kernel : kernels)
    changes.compare("time", mine.name + ", " + kernel, "predicted",
                    before[kernel].toString(), after[kernel].toString());
}

} // namespace

StatusOr<std::string> compareTimes(const Artifact &a, const Artifact &b,
                                   const std::optional<cost::Cluster> &cluster,
                                   Changes &changes) {
  std::optional<cost::Cluster> mine = cluster, theirs = cluster;
  if (!cluster) {
    mine = predict::chipCluster(a);
    theirs = predict::chipCluster(b);
    for (auto [artifact, chip] : {std::pair{&a, &mine}, {&b, &theirs}}) {
      if (!*chip)
        return fmt::format("the target '{}' of '{}' has no peaks to predict "
                           "by; give --cluster",
                           artifact->target(), artifact->path());
      if (artifact->root().mesh())
        return fmt::format("'{}' is for {} ranks, whose links only a file "
                           "describes; give --cluster",
                           artifact->path(),
                           artifact::numRanks(artifact->root()));
    }
  }
  HADAL_ASSIGN_OR_RETURN(predict::Prediction before,
                         predict::predict(a, *mine, {}, {}));
  HADAL_ASSIGN_OR_RETURN(predict::Prediction after,
                         predict::predict(b, *theirs, {}, {}));
  const std::string where = mine->name == theirs->name
                                ? mine->name
                                : mine->name + " and " + theirs->name;
  for (const predict::EntryPrediction &entry : before.entries)
    for (const predict::EntryPrediction &other : after.entries)
      if (entry.name == other.name)
        compareEntry(a, entry, b, other, where, changes);
  return std::string();
}

} // namespace hadal::diff
