// What hadal-bench measures of a whole model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/common/Ranks.h"
#include "tools/profile/Profiler.h"

namespace hadal::bench {

struct BenchFlags {
  cli::LoadFlags load;
  cli::RankFlags ranks;
  profile::ProfileFlags profile;
  uint32_t promptLength = 512, generateLength = 128, prefillChunk = 0;
  uint32_t repeat = 1;
  std::vector<uint32_t> batches = {1, 4};
  std::string json;
  std::string cluster; ///< of several ranks: its links; empty: measured
  std::optional<std::string> kernels;
  bool checkOnly = false;
  std::string tunePlan; ///< file
  double budget = 0;    ///< seconds, of the plan
  uint64_t seed = 1;
};

/// Writes |report| to |path|, if one is given.
Status writeJson(const std::string &path, const nlohmann::ordered_json &report);

/// H5011 for numbers that measure nothing.
Status checkNumbers(const BenchFlags &flags);
/// H5005 for more tokens than a row of the model has.
Status checkLengths(const BenchFlags &flags, const schema::Model &description);

/// The tokens fed: uniform and the same in every run, so that experts are
/// chosen as differently as the model allows.
class TokenSource {
public:
  explicit TokenSource(uint64_t vocab, uint64_t stream = 0)
      : vocab(vocab), state(0x9e3779b97f4a7c15ull + stream) {}
  int32_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<int32_t>(state % vocab);
  }

private:
  uint64_t vocab, state;
};

/// Prefill and decode of one rank, decode set against a plain read of the same
/// weight bytes in the same run.
Status runBench(const BenchFlags &flags);

/// Prefill and decode of one of several ranks, and on rank 0 what the links
/// should cost beside what they did.
Status runRankBench(const BenchFlags &flags, comm::Group &group);

} // namespace hadal::bench
