// The conformance suite that every driver passes. A driver's test links
// HadalCts and instantiates it:
//
//   INSTANTIATE_TEST_SUITE_P(Cpu, DriverSuite, testing::Values(
//       DriverFactory{"cpu1", [] { return ...; }}), driverName);
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "runtime/cts/ToyArtifact.h"
#include "runtime/device/Driver.h"

namespace hadal {

struct DriverFactory {
  std::string name;
  std::function<StatusOr<std::unique_ptr<Driver>>()> create;
  /// How often a test runs what threads might do differently each time.
  int repeats = 20;
};

inline std::string
driverName(const testing::TestParamInfo<DriverFactory> &info) {
  return info.param.name;
}

class DriverSuite : public testing::TestWithParam<DriverFactory> {
protected:
  void SetUp() override;
  /// Writes and opens |model| with the toy kernels, for the driver's target.
  StatusOr<Artifact> open(schema::ArtifactT model);
  /// An artifact with one launch of |kernel| in its only decode entry, with
  /// |args|, in which `output` buffers are passed as state 4 ("hidden").
  schema::ArtifactT single(uint32_t kernel, uint64_t items,
                           std::vector<schema::ArgT> args);

  toy::TempDir dir;
  std::unique_ptr<Driver> driver;
};

} // namespace hadal
