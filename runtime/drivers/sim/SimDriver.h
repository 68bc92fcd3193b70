// The sim driver: executes the PTX of an sm_90a artifact on the CPU and checks
// it while doing so.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/Driver.h"
#include "runtime/drivers/sim/machine/Launch.h"

namespace hadal::sim {

/// Which policy of asynchronous operations a launch runs under.
enum class PolicyChoice : uint8_t {
  Eager,
  Lazy,
  Alternate, ///< eager and lazy launch by launch, the other way in the next run
};

struct SimOptions {
  PolicyChoice policy = PolicyChoice::Eager;
  Fp8Accumulate fp8Accumulate = Fp8Accumulate::exact;
  /// Permutes the order in which blocks run.
  uint64_t seed = 0;
  bool checkRaces = true;
  /// Host threads a launch may use, 0 for as many as the machine has.
  unsigned threads = 0;
  /// What persistent kernels see as the chip's multiprocessors.
  unsigned multiprocessors = 132;
  /// Activations count as uninitialised at the start of every run, so that a
  /// kernel that reads what none has written in this run is found.
  bool poisonActivations = true;
  /// A run goes on after a finding, and each is a line on stderr.
  bool printFindings = false;
};

/// What HADAL_SIM says, a list such as "policy=lazy,fp8=hopper13,seed=7":
/// policy=eager|lazy|alternate, fp8=exact|hopper13, seed=N, races=on|off,
/// poison=on|off, findings=stop|print. H5011 names what it does not know.
StatusOr<SimOptions> parseSimOptions(const std::string &text);

StatusOr<std::unique_ptr<Driver>> createSimDriver(const SimOptions &options);

} // namespace hadal::sim
