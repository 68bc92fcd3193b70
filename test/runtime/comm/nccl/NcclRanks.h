// Ranks as threads, each with a device of the fake libcuda, over the fake
// libnccl.
#pragma once

#include "runtime/comm/nccl/Nccl.h"
#include "runtime/drivers/cuda/CudaDriver.h"
#include "test/runtime/comm/control/Ranks.h"
#include "test/runtime/comm/nccl/FakeNccl.h"
#include "test/runtime/drivers/cuda/FakeCuda.h"

namespace hadal::test {

inline constexpr unsigned kFakeDevices = 8;

inline cuda::FakeCuda &fakeCudaState() {
  static cuda::FakeCuda &state = openFakeCuda(HADAL_FAKE_CUDA);
  return state;
}

/// As new, with a device for each rank.
inline void resetFakes() {
  fakeCudaState() = {};
  fakeCudaState().devices.assign(kFakeDevices, {"Fake H100", 9, 0});
  // Where the fake libnccl finds its libcuda.
  ::setenv("HADAL_LIBCUDA", HADAL_FAKE_CUDA, 1);
}

inline StatusOr<std::unique_ptr<Driver>> driverOfRank(unsigned rank) {
  return cuda::createCudaDriver(
      {.ordinal = static_cast<int>(rank), .library = HADAL_FAKE_CUDA});
}

/// Runs |body| as each of |ranks| on a thread of its own, whose device is
/// current.
inline void asNcclRanks(
    unsigned ranks, const std::string &library,
    const std::function<void(comm::Group &group, Driver &driver)> &body,
    const std::function<void(comm::GroupOptions &options)> &change = {}) {
  TempDirectory directory;
  asRanks(ranks, [&](unsigned rank) {
    comm::GroupOptions options = optionsOf(directory, rank, ranks);
    options.openDataPlane = [&](comm::Group &group) {
      return comm::openNccl(
          group, {.library = library, .timeout = std::chrono::seconds(20)});
    };
    if (change)
      change(options);
    auto driver = driverOfRank(rank);
    ASSERT_TRUE(driver.ok()) << driver.status().toString();
    ASSERT_TRUE(cuda::deviceOf(**driver).enter().ok());
    auto group = joinGroup(std::move(options));
    ASSERT_TRUE(group.ok()) << group.status().toString();
    body(**group, **driver);
  });
}

} // namespace hadal::test
