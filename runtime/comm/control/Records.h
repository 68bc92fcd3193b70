// The payloads of fixed size that frames carry. Texts in them end at the first
// zero or at their size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "runtime/base/Sha256.h"

namespace hadal::comm {

/// Most bytes of a refusal or failure.
inline constexpr uint32_t kMaxText = 4096;

using Nonce = std::array<uint8_t, 32>;

template <size_t n> void setText(char (&field)[n], std::string_view text) {
  std::memset(field, 0, n);
  std::memcpy(field, text.data(), std::min(n, text.size()));
}
template <size_t n> std::string_view textOf(const char (&field)[n]) {
  return {field, strnlen(field, n)};
}

struct Identity {
  char host[64] = {};
  int64_t pid = 0;
};

struct Challenge {
  Nonce nonce;
};
/// The proof is an HMAC with the token over both nonces, the numbers and who
/// proves what: neither side's proof serves as the other's, or another rank's.
struct Hello {
  Nonce nonce;
  Digest256 proof;
  Identity identity;
};
struct Welcome {
  Digest256 proof;
  Identity identity;
};

inline constexpr uint64_t kNoCollective = UINT64_MAX;

/// Where a rank is.
struct PlaceRecord {
  uint64_t step = 0, sequence = 0;
  uint32_t state = 0; ///< PlaceState
  uint32_t waitedMs = 0;
  uint32_t firstMember = 0, lastMember = 0; ///< of the communicator
  /// Of the collective that it was in last, in `doneStep`; kNoCollective: none.
  uint64_t doneSequence = 0, doneStep = 0;
  char entry[48] = {}, label[64] = {}, communicator[16] = {};
};

} // namespace hadal::comm
