// Where the experts of a token are when a router prefers none of them.
#pragma once

#include <cstdint>

namespace hadal::cost {

/// Ranks that share experts, each with |slots| of them, and how many different
/// ones a token has.
struct Routing {
  int64_t ranks = 1, slots = 1, choices = 1;
};

/// How many ranks the experts of a token are on, on average. Its experts
/// differ, so that slots are drawn without putting any back: E (1 - C(N - s, k)
/// / C(N, k)) of N = E s slots.
double distinctRanks(const Routing &routing);

/// The (row, expert) pairs that go with |rows| rows between two ranks, a
/// multiple of 8: what `--capacity` makes of a number of rows.
int64_t pairsOfRows(const Routing &routing, int64_t rows);

/// The least number for `--capacity` that holds |rows| rows and |pairs| pairs.
int64_t rowsThatHold(const Routing &routing, int64_t rows, int64_t pairs);

} // namespace hadal::cost
