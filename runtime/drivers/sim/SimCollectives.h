// The collectives of an entry on the simulator: a copy by the host between the
// memories of ranks, in which definedness travels with the bytes.
#pragma once

#include "runtime/device/HostCollectives.h"
#include "runtime/drivers/sim/memory/Memory.h"

namespace hadal::sim {

/// What a collective sends is what lies there when it starts. From then until a
/// launch may know that it is complete, what it receives is undefined; then it
/// is written as by the host: those bytes are defined that were so at their
/// sender, and of a sum those that were so on every rank. Rows beyond a count
/// are not received: they stay undefined.
///
/// The stream's thread touches nothing but the copies here, since launches copy
/// whole pages of memory.
class SimCollectives final : public HostCollectives {
public:
  /// |memory| outlives it. |entry| is for messages.
  SimCollectives(Memory &memory, const LaunchList &list,
                 const comm::Endpoint *endpoint, std::string entry);
  /// H5022 if an array does not lie in one allocation.
  Status check() const;

protected:
  /// H5018 if the counts are not defined.
  StatusOr<uint64_t> start(uint32_t index) override;
  Status finish(uint32_t index) override;

private:
  /// A copy of an array in simulated memory: its bytes, and for each byte 1 if
  /// it is defined.
  struct Array {
    DeviceAddress address = 0;
    std::vector<uint8_t> bytes, mask;
  };
  struct State {
    std::vector<Array> send, receive; // by part
    std::vector<int32_t> counts;
    /// The bytes and, unless they are summed, the masks as further parts.
    comm::Operation operation;
    /// Of sums: the masks, gathered from all ranks, by part.
    comm::Operation masks;
    std::vector<std::vector<uint8_t>> gathered;
  };

  void prepare(const Collective &collective, State &state);
  void load(Array &array) const;
  void store(const Array &array);

  Memory &memory;
  std::string entry;
  std::vector<State> states; // by collective
};

} // namespace hadal::sim
