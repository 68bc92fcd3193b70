// When the commands of an entry ran, by stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hadal {

/// From when to when a command ran, on the host's steady clock.
struct CommandSpan {
  enum class Kind : uint8_t {
    launch,     ///< on stream 0
    wait,       ///< of stream 0 for a collective: what it does not hide
    collective, ///< on stream 1: from when it is run until it is complete
  };
  Kind kind = Kind::launch;
  /// Of the launch or the collective in the entry's unrolled list.
  uint32_t index = 0;
  /// The kernel, or the collective's label ("dispatch, layer 17").
  std::string_view name;
  std::chrono::steady_clock::time_point begin, end;
};

/// The spans of one run; those of a stream in order.
using Timeline = std::vector<CommandSpan>;

} // namespace hadal
