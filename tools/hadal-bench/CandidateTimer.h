// Times of the kernels of one artifact that compute the same: a default and its
// candidates, in turn, on memory that no cache holds.
#pragma once

#include <atomic>

#include "runtime/tune/Block.h"
#include "tools/hadal-bench/KernelLaunch.h"

namespace hadal::bench {

struct TimerOptions {
  double unitSeconds = 1.5e-3; ///< of launches, at least one
  /// Bytes that the arguments of all copies together exceed, so that a launch
  /// finds its own in no cache: 4 x the last one. At most kMaxCopies are made;
  /// of arguments too small for it the launches are as warm as in a step.
  uint64_t coldBytes = 0;
  const std::atomic<bool> *interrupt = nullptr; ///< H5016 at the next unit
};
inline constexpr unsigned kMaxCopies = 64;

/// 4 x the last-level cache of this machine; 256 MiB where it does not say.
uint64_t coldBytesOfHost();

/// One arm of the timer: a kernel of the artifact.
struct Arm {
  unsigned kernel = 0; ///< index
  Sample sample;
};

/// Launches rotate over copies of the arguments and all arms over the same, so
/// that in every unit an arm finds what another touched longest ago. By the
/// host's clock: for drivers whose launches return when they are done.
class CandidateTimer : public tune::Timer {
public:
  /// Arm 0 is the default. Needs a driver that works in the host's memory.
  /// The errors of the cases, the launches and of the first run of arm 0.
  static StatusOr<std::unique_ptr<CandidateTimer>>
  create(Driver &driver, const Artifact &artifact, Executable &executable,
         std::vector<Arm> arms, uint64_t seed, const TimerOptions &options);

  StatusOr<double> time(size_t arm) override;
  Status renew(uint64_t seed) override;
  /// Of a launch of arm 0, when the length of a unit was chosen.
  double firstSeconds() const { return seconds; }
  unsigned launchesOfUnit() const { return launches; }
  unsigned copies() const { return static_cast<unsigned>(memory.size()); }

private:
  struct Copy {
    Arguments arguments;
    std::optional<DeviceArguments> device;
  };
  CandidateTimer(Driver &driver, const Artifact &artifact,
                 Executable &executable, std::vector<Arm> arms,
                 const TimerOptions &options)
      : driver(driver), artifact(artifact), executable(executable),
        arms(std::move(arms)), options(options) {}
  StatusOr<double> run(size_t arm, unsigned count);
  StatusOr<PreparedEntry *> unitOf(size_t arm, unsigned first, unsigned count);

  Driver &driver;
  const Artifact &artifact;
  Executable &executable;
  std::vector<Arm> arms;
  TimerOptions options;
  std::deque<Copy> memory;
  /// By arm, first copy and launches.
  std::map<std::tuple<size_t, unsigned, unsigned>,
           std::unique_ptr<PreparedEntry>>
      units;
  unsigned next = 0; ///< copy
  unsigned launches = 1;
  double seconds = 0;
};

} // namespace hadal::bench
