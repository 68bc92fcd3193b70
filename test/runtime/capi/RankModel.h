// The toy model for several ranks that split the sequences, on disk: no rank
// needs another's rows, so that each must give what the definition gives.
#pragma once

#include "runtime/cts/ToyArtifact.h"

namespace hadal::toy {

inline void writeRankModel(const TempDir &dir, unsigned ranks) {
  schema::ArtifactT a = model();
  a.mesh = std::make_unique<schema::MeshT>();
  a.mesh->dp = ranks;
  a.mesh->slots = kExperts;
  writeFile(dir.file("m.hadal"), assemble(a));
  writeWeights(dir.path());
}

/// What greedy decoding of |count| tokens gives behind |tokens|.
inline std::vector<int32_t> greedyTokens(std::vector<int32_t> tokens,
                                         size_t count) {
  std::vector<int32_t> result;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float> logits = referenceLogits(tokens).back();
    const auto best = std::max_element(logits.begin(), logits.end());
    result.push_back(static_cast<int32_t>(best - logits.begin()));
    tokens.push_back(result.back());
  }
  return result;
}

} // namespace hadal::toy
