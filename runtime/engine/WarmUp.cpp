#include "runtime/engine/WarmUp.h"

#include <algorithm>
#include <numeric>

namespace hadal::engine {

namespace {

/// Rows of a call that |capacity| holds, of new sequences; what they refer to.
struct FullCall {
  std::vector<std::vector<int32_t>> tokens, pages;
  std::vector<CallRow> rows;

  FullCall(const RunnerLimits &limits, const CallCapacity &capacity) {
    const uint32_t most = std::min(capacity.rows, limits.maxRows);
    uint64_t tokensLeft = capacity.tokens, pagesLeft = limits.pages;
    int32_t page = 0, token = 0;
    for (uint32_t r = 0; r < most && tokensLeft && pagesLeft; ++r) {
      // What is left shared evenly, so that every row has some.
      const uint64_t share = std::max<uint64_t>(1, tokensLeft / (most - r));
      const uint64_t count =
          std::min({share, uint64_t{capacity.queries}, limits.maxSeqLen,
                    pagesLeft * limits.pageSize});
      const uint64_t needed = limits.pagesFor(count);
      auto &ids = tokens.emplace_back(count);
      for (int32_t &id : ids) {
        id = static_cast<int32_t>(static_cast<uint64_t>(token) %
                                  limits.vocabSize);
        token += 37; // of all parts of the vocabulary
      }
      auto &its = pages.emplace_back(needed);
      std::iota(its.begin(), its.end(), page);
      page += static_cast<int32_t>(needed);
      tokensLeft -= count;
      pagesLeft -= needed;
    }
    for (size_t r = 0; r < tokens.size(); ++r)
      rows.push_back({tokens[r], 0, pages[r], LogitsWanted::Last});
  }
};

} // namespace

Status warmUp(Runner &runner,
              const std::function<void(size_t, size_t)> &progress,
              const std::atomic<bool> *interrupt) {
  const RunnerLimits &limits = runner.limits();
  const size_t calls = limits.prompt.size() + limits.decode.size();
  size_t call = 0;
  for (Phase phase : {Phase::Prompt, Phase::Decode})
    for (size_t i = 0; i < limits.of(phase).size(); ++i) {
      if (interrupt && *interrupt)
        return error(5016, "interrupted before call {} of {} of the warm-up",
                     call + 1, calls);
      if (progress)
        progress(++call, calls);
      const FullCall full(limits, limits.of(phase)[i]);
      HADAL_RETURN_IF_ERROR(
          runner.run(phase, i, full.rows, [](const RowLogits &) {}));
    }
  return {};
}

} // namespace hadal::engine
