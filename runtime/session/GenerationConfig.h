// What generation_config.json of a checkpoint says about generating text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal {

struct GenerationConfig {
  /// Ids that end a sequence, one or a list in the file; those of config.json,
  /// which the artifact holds, are apart.
  std::vector<int32_t> eosTokenIds;
  /// Sampling as the checkpoint's authors suggest it. Not doSample: greedy.
  bool doSample = false;
  std::optional<double> temperature, topP;
  std::optional<uint64_t> topK;
  /// Other settings of the file that would change the text, "name value" each:
  /// they are not followed.
  std::vector<std::string> unsupported;

  /// True if the file suggests anything about sampling.
  bool suggestsSampling() const;
  /// "temperature 0.6, top_p 0.95", or "greedy".
  std::string describeSampling() const;

  /// Reads generation_config.json of |directory|; all is empty if there is
  /// none. H5009 for a malformed one or an id that is none below |vocabulary|.
  static StatusOr<GenerationConfig> load(const std::string &directory,
                                         uint64_t vocabulary);
};

} // namespace hadal
