// What a token is to its request. A token's bits depend on its phase and on the
// bits of those before it alone, not on the size of the call that computes it.
#pragma once

#include <cstdint>

namespace hadal {

enum class Phase : uint8_t {
  Prompt, ///< of the request's prompt
  Decode, ///< generated, also where it is computed again
};

} // namespace hadal
