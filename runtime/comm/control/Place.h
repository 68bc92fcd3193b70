// Where ranks are, in words: what a failure says of those that wait and of
// those that are gone.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "runtime/comm/control/Records.h"

namespace hadal::comm {

enum class PlaceState : uint32_t {
  running,    ///< in kernels, or whatever its label says
  collective, ///< in the collective `sequence`
  agreement,  ///< in an exchange of the control plane
};

struct Place {
  uint64_t step = 0;
  uint64_t sequence = 0; ///< of the collective it is in, or came from last
  PlaceState state = PlaceState::running;
  /// Of the communicator, in the group: those that its collective needs.
  uint32_t firstMember = 0, lastMember = 0;
  uint64_t doneSequence = kNoCollective, doneStep = 0; ///< as in PlaceRecord
  std::string communicator; ///< of the collective it is in
  std::string entry;        ///< of the program; empty: none yet
  std::string label;        ///< of the collective, or of what it does
  std::chrono::milliseconds waited{0};

  PlaceRecord record() const;
  /// Texts made printable, states out of range taken for running.
  static Place of(const PlaceRecord &record);
  /// Whether a rank at this place has been through the collective of |wait|, or
  /// a later one.
  bool hasDone(const Place &wait) const;
  /// The same, but for how long it has waited.
  bool equals(const Place &other) const;
};

/// "collective 117 'dispatch, layer 17' of 'ep', entry decode_64, step 42".
std::string describeCollective(const Place &place);

/// "waited at collective 117 ...", "ran entry decode_64 ...".
std::string describeActivity(const Place &place);

/// "ranks 0-2 waited at collective 117 ..., rank 3 ran entry ...": |ranks| by
/// where they are. |places| of all ranks of the group.
std::string describePlaces(const std::vector<unsigned> &ranks,
                           const std::vector<Place> &places);

/// "rank 3 (host b, pid 4711)".
std::string describeRank(unsigned rank, const Identity &identity);

} // namespace hadal::comm
