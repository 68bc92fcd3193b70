// What the commands of an artifact's entries are called.
#pragma once

#include <string>
#include <vector>

#include "runtime/artifact/Artifact.h"

namespace hadal::profile {

struct LaunchName {
  uint32_t kernel = 0;
  /// The model operation, "moe_layer.router"; else the kernel's name.
  std::string key;
  int32_t layer = -1; ///< -1: of none
};

struct CollectiveName {
  std::string label; ///< "dispatch"
  int32_t layer = -1;
  uint32_t communicator = 0;
  uint64_t sequence = 0;
  unsigned labelIndex = 0; ///< in EntryNames::labels
};

/// By the indices of CommandSpan.
struct EntryNames {
  std::string name;
  bool isHead = false;
  std::vector<LaunchName> launches;
  std::vector<CollectiveName> collectives;
  std::vector<std::string> labels; ///< of the collectives, each once
};

/// Of every entry of |artifact|, which was verified.
std::vector<EntryNames> entryNames(const Artifact &artifact);

} // namespace hadal::profile
