// Why a schedule is not built: the codes that the tuner counts, that its
// journal holds and that refusals of --schedule name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hadal::schedule {

/// X(id, sentence). Ids are in files: a number keeps its meaning.
#define HADAL_FOR_EACH_PRUNE(X)                                                \
  X(P01, "a tile does not divide what it must not leave")                      \
  X(P02, "a rotated head is one tile")                                         \
  X(P03, "quantised columns are in tiles of 128")                              \
  X(P04, "a box of TMA has at most 256 rows")                                  \
  X(P05, "swap_ab takes whole blocks of 64 weights and 8 to 64 tokens")        \
  X(P06, "the stages do not fit in shared memory")                             \
  X(P07, "accumulators and products do not fit in a thread's registers")       \
  X(P08, "fewer than 3 stages while there are more steps")                     \
  X(P09, "a smaller split cuts parts of the same length")                      \
  X(P10, "the workspace of the parts does not fit in half of L2")              \
  X(P11, "predicted to be too slow beside the best")                           \
  X(P12, "predicted to be no faster than those that are measured")                \
  X(P13, "the spec says the order of sums")                                    \
  X(P14, "more than there is to cover")                                        \
  X(P15, "warpgroups cannot share the tile")                                   \
  X(P16, "the form or the operands cannot have it")                            \
  X(P17, "adds in another order, and only the same bits are wanted")           \
  X(P18, "a tile so small that the other operand is read too often")

enum class Prune {
#define HADAL_PRUNE(id, sentence) id,
  HADAL_FOR_EACH_PRUNE(HADAL_PRUNE)
#undef HADAL_PRUNE
};

/// "P06".
std::string_view idOf(Prune code);
std::string_view sentenceOf(Prune code);

/// A rule that a schedule breaks, and the numbers by which.
struct Broken {
  Prune code;
  std::string numbers; ///< "8 stages: 266240 bytes of 232448"
};
using Check = std::optional<Broken>;

} // namespace hadal::schedule
