// Device-ordered communicators for tests of host-ordered ones: what is given in
// host memory goes to the device and back.
#pragma once

#include "runtime/comm/Group.h"
#include "runtime/drivers/cuda/CudaDriver.h"

namespace hadal::test {

class StagedCommunicator final : public comm::Communicator {
public:
  StagedCommunicator(std::unique_ptr<comm::Communicator> inner, Driver &driver)
      : inner(std::move(inner)), driver(driver) {}

  std::string_view name() const override { return inner->name(); }
  unsigned rank() const override { return inner->rank(); }
  unsigned size() const override { return inner->size(); }
  comm::Capabilities capabilities() const override {
    comm::Capabilities capabilities = inner->capabilities();
    capabilities.hostOrdered = true;
    return capabilities;
  }
  void abort() noexcept override { inner->abort(); }
  Status run(const comm::Operation &operation,
             comm::Deadline deadline) override;

private:
  const std::unique_ptr<comm::Communicator> inner;
  Driver &driver;
};

class StagedGroup final : public comm::Group {
public:
  StagedGroup(comm::Group &inner, Driver &driver)
      : inner(inner), driver(driver) {}
  unsigned rank() const override { return inner.rank(); }
  unsigned size() const override { return inner.size(); }
  StatusOr<std::vector<std::vector<uint8_t>>>
  exchange(std::span<const uint8_t> mine, comm::Deadline deadline) override {
    return inner.exchange(mine, deadline);
  }
  StatusOr<std::unique_ptr<comm::Communicator>>
  create(std::string_view name, std::span<const unsigned> members) override;
  void report(const comm::Progress &progress) noexcept override {
    inner.report(progress);
  }
  void fail(const Status &status) noexcept override { inner.fail(status); }

private:
  comm::Group &inner;
  Driver &driver;
};

} // namespace hadal::test
