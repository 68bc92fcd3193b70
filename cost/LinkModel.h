// What moving bytes between the ranks of a communicator costs.
#pragma once

#include <map>

#include "cost/EventModel.h"

namespace hadal::cost {

/// Which rows of an all_to_all travel.
enum class Moves {
  capacity, ///< all that there is room for: equal counts, padded
  rows,     ///< a token once to each rank that holds one of its experts
  pairs,    ///< a row for each of a token's experts
  copies,   ///< Link::copies rows for each token, e.g. one to each node
};

/// One kind of collective over one kind of link.
struct Link {
  double alphaUs = 0; ///< that no row is needed for
  /// Microseconds for each byte that a rank sends, by the number of ranks; in
  /// between linear in its logarithm, beyond the ends as at the end.
  std::map<unsigned, double> usPerByte;
  /// Kernels of the collective that fill the chip at its start and end, for
  /// |referenceBytes| sent by a rank; part of the time that alpha and bytes
  /// give.
  double startUs = 0, endUs = 0, referenceBytes = 0;
  unsigned multiprocessors = 0; ///< held during the transfer
  Moves moves = Moves::capacity;
  double copies = 0; ///< of Moves::copies
};

/// Most over mean of the pairs that |ranks| ranks get when each of |tokens|
/// tokens of a rank chooses |choices| experts evenly:
/// 1 + sqrt(2 ln E / (S k)).
double uniformImbalance(unsigned ranks, double tokens, double choices);

/// A collective in which each of |ranks| ranks sends |bytes|, and the one with
/// the most work |imbalance| times that.
Collective collectiveOf(const Link &link, std::string label, unsigned ranks,
                        double bytes, double imbalance = 1);

} // namespace hadal::cost
