// An entry bound to addresses, launched kernel by kernel or as a graph.
#pragma once

#include "runtime/drivers/cuda/CudaCollectives.h"
#include "runtime/drivers/cuda/CudaExecutable.h"

namespace hadal::cuda {

/// A replayed entry is captured into a graph when it first runs; one with
/// collectives when it runs for the second time, since the first connects the
/// ranks, which no capture can hold. Any other is launched directly. While
/// kernels are timed every entry is launched directly, and no kernel overlaps
/// with the one before it.
class CudaPreparedEntry final : public PreparedEntry {
public:
  CudaPreparedEntry(CudaExecutable &executable, std::string name, bool replayed,
                    const LaunchList &list, GpuProgram program,
                    const comm::Endpoint *endpoint);
  ~CudaPreparedEntry() override;

  Status run() override;
  std::span<const CommandSpan> timeline() const override { return spans; }
  /// Puts every launch of an entry without collectives on the stream, none of
  /// which overlaps with what stands before it, and returns at once.
  Status enqueue();

private:
  using Clock = std::chrono::steady_clock;

  Status launch(const GpuLaunch &launch, bool overlaps);
  /// Puts all launches and collectives on the streams. The caller holds the
  /// device's lock where there are collectives.
  Status launchAll(bool overlaps);
  Status runDirectly();
  Status capture();
  Status runProfiled();
  /// When |event| was, of a profiled run that began at |begin|.
  StatusOr<Clock::time_point> timeOf(Event event,
                                     Clock::time_point begin) const;
  Status describe(Clock::time_point begin,
                  const std::vector<std::optional<uint32_t>> &waits);
  Status failed(const GpuLaunch &launch, Result result) const;

  CudaExecutable &executable;
  const CudaDevice &device;
  std::string name;
  bool replayed;
  LaunchList list;
  GpuProgram program;
  CudaCollectives collectives;   // of the list
  std::vector<void *> arguments; // of one launch
  bool connected = false;        ///< its collectives have run once
  GraphExec graph = nullptr;
  /// One at the start, then one before and one behind each launch.
  std::vector<Event> events;
  Timeline spans; // of the last run, if it was profiled
};

} // namespace hadal::cuda
