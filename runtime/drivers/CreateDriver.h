// Drivers by the name that --device takes.
#pragma once

#include <memory>
#include <string>

#include "runtime/artifact/Artifact.h"
#include "runtime/device/Driver.h"

namespace hadal {

struct DeviceOptions {
  /// "cpu", "cuda" (a GPU that fits), "cuda:1", "sim"; empty: what runs
  /// the artifact's target, for sm_90a a GPU.
  std::string device;
  /// Which of the GPUs that fit "cuda" means: a rank's number among those of its
  /// machine.
  unsigned localRank = 0;
  /// Of the cpu device; 0: as many as the process may run on.
  unsigned threads = 0;
  /// Of the simulator, as sim::parseSimOptions reads it; empty: what HADAL_SIM
  /// says.
  std::string sim;
};

/// "cpu, cuda, ...": what `device` may name, for help texts.
extern const char *const kDeviceNames;

/// The name of the device that |options| ask for, for |artifact| where they
/// name none.
std::string deviceFor(const DeviceOptions &options, const Artifact &artifact);
/// Whether |device| is a GPU, as deviceFor() names it.
bool isGpu(const std::string &device);

/// The driver that |options| ask for. H5011 for an unknown name, H4007 if
/// |artifact| was built for a target that the device does not run, else the
/// errors of the driver's creation.
StatusOr<std::unique_ptr<Driver>> createDriver(const DeviceOptions &options,
                                               const Artifact &artifact);

} // namespace hadal
