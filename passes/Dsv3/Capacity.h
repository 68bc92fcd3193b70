// How many rows an exchange between ranks that share experts has room for.
#pragma once

#include <cstdint>
#include <optional>

namespace hadal {

/// What the rows between two ranks depend on besides the tokens of one.
struct ExchangeShape {
  int64_t ranks;  ///< that share the experts
  int64_t slots;  ///< experts of a rank
  int64_t topk;   ///< experts of a token
  int64_t layers; ///< exchanges of a step
};

/// Most rows that a rank sends to another, and most (row, expert) pairs of
/// them.
struct ExchangeCapacity {
  int64_t rows, pairs;
};

/// Whatever the router does: every token wants every rank.
ExchangeCapacity worstCapacity(const ExchangeShape &shape, int64_t slice);

/// The most tokens of a rank whose choices the receiver can number: kernels do
/// so in 32 bits, and go beyond the last by a step of theirs.
int64_t mostSlice(const ExchangeShape &shape);

/// For ranks of |slice| tokens: |given| rows, or with 0 as many as a router
/// that prefers no expert exceeds in one of 1000 steps (Chernoff's bound over
/// all pairs of ranks and layers), a multiple of 8. Empty where that saves
/// neither rows nor half of the pairs of the worst.
std::optional<ExchangeCapacity> expectedCapacity(const ExchangeShape &shape,
                                                 int64_t slice, int64_t given);

} // namespace hadal
