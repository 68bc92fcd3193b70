// The collectives of an entry on a GPU: they are on a stream of their own,
// beside the kernels, and events order both.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runtime/device/Program.h"
#include "runtime/drivers/cuda/CudaDevice.h"

namespace hadal::cuda {

/// What one entry does between its launches. The device tells the host how far
/// its collectives are by a word in host memory, so that a rank that waits for
/// others can say where.
class CudaCollectives {
public:
  /// |list| outlives it; |endpoint| too, and is null only of a list without
  /// collectives.
  CudaCollectives(const CudaDevice &device, const LaunchList &list,
                  const comm::Endpoint *endpoint);
  ~CudaCollectives();
  CudaCollectives(const CudaCollectives &) = delete;
  CudaCollectives &operator=(const CudaCollectives &) = delete;

  bool empty() const { return list.collectives.empty(); }

  /// Begins to put the entry on the streams, or into the graph that is being
  /// captured: the stream of collectives comes behind that of kernels. For a
  /// thread that holds the device's lock until end(), which puts the stream of
  /// kernels behind that of collectives.
  /// |timed|: begin and end of each collective are noted.
  Status begin(bool timed = false);
  Status end();
  /// Puts the commands before launch |launch| on the streams. |waits|: the last
  /// collective that the stream of kernels waits for among them, if it has not
  /// waited for it before.
  Status enqueueBefore(size_t launch, std::optional<uint32_t> &waits);

  /// Of a timed run that is complete: when collective |index| was begun and
  /// when it was complete.
  Event begun(uint32_t index) const { return times[2 * index]; }
  Event completed(uint32_t index) const { return times[2 * index + 1]; }

  /// The host is about to run what it has put together.
  void restart();
  /// Waits until all collectives of the run are complete. H6001, H6007, H5017.
  Status await() const;

private:
  Status initialize();
  Status create(std::vector<Event> &events, size_t count, unsigned flags) const;
  Status start(uint32_t index);
  Status record(Event event, Stream stream) const;
  Status wait(Event event, Stream stream) const;
  Status note(uint32_t value) const;
  Stream streamOf(uint8_t stream) const {
    return stream == kCollectiveStream ? collectives : device.stream();
  }
  /// Whether the device has come to |value|.
  StatusOr<bool> isAt(uint32_t value) const;

  const CudaDevice &device;
  const LaunchList &list;
  const comm::Endpoint *const endpoint;
  Stream collectives = nullptr;
  /// By number in the list, then those of the fork and the join.
  std::vector<Event> events;
  std::vector<Event> times; ///< before and behind each collective
  bool timed = false;
  size_t next = 0; ///< of list.commands
  /// Collectives that were started and waited for so far, and by event those
  /// that are complete when it is reached.
  uint32_t started = 0, awaited = 0;
  std::vector<uint32_t> complete;
  /// Written by the device: twice a collective's place, plus one when the
  /// stream has come to it, plus two when it is complete.
  uint32_t *reached = nullptr;
};

} // namespace hadal::cuda
