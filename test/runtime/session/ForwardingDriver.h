// A driver that another one does the work of: for tests that count or fail what
// a session asks of it.
#pragma once

#include "runtime/device/Driver.h"

namespace hadal::test {

class ForwardingDriver : public Driver {
public:
  explicit ForwardingDriver(std::unique_ptr<Driver> inner)
      : inner(std::move(inner)) {}

  std::string_view name() const override { return inner->name(); }
  std::string description() const override { return inner->description(); }
  std::string_view target() const override { return inner->target(); }
  bool sharesHostMemory() const override { return inner->sharesHostMemory(); }
  Status enter() override { return inner->enter(); }
  StatusOr<DeviceMemory> memory() override { return inner->memory(); }
  uint64_t footprint(uint64_t bytes) const override {
    return inner->footprint(bytes);
  }
  uint64_t overhead() const override { return inner->overhead(); }
  StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse use,
                                   std::string_view name) override {
    return inner->allocate(bytes, use, name);
  }
  void release(DeviceAddress address, uint64_t bytes) override {
    inner->release(address, bytes);
  }
  Status write(DeviceAddress to, const void *from, uint64_t bytes) override {
    return inner->write(to, from, bytes);
  }
  Status read(void *to, DeviceAddress from, uint64_t bytes) override {
    return inner->read(to, from, bytes);
  }
  Status upload(DeviceAddress to, uint64_t bytes,
                const FillFunction &fill) override {
    return inner->upload(to, bytes, fill);
  }
  StatusOr<std::unique_ptr<Executable>>
  load(const Artifact &artifact) override {
    return inner->load(artifact);
  }

private:
  const std::unique_ptr<Driver> inner;
};

} // namespace hadal::test
