// How many tokens each expert got: the file of hadal-run --expert-load.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal {

struct ExpertLoadFile {
  uint32_t experts = 0; ///< of every layer
  /// Groups that the router chooses among; 0: the file does not say.
  uint32_t groups = 0;
  std::map<uint32_t, std::vector<uint64_t>> layers;
  std::string digest; ///< XXH3-64 of the file, 16 hexadecimal digits
};

/// H5023 if |path| is no such file: no layers, layers of different lengths,
/// counts that are no whole numbers or whose sum exceeds 2^62.
StatusOr<ExpertLoadFile> readExpertLoad(const std::string &path);

} // namespace hadal
