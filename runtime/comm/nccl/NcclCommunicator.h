// A communicator of NCCL: all that it moves goes through a stream of the
// device.
#pragma once

#include <vector>

#include "runtime/comm/nccl/NcclHandle.h"

namespace hadal::comm::nccl {

/// Moves whole blocks, whatever the counts say: NCCL knows no counts on the
/// device. Its sums are NCCL's own.
class NcclCommunicator final : public Communicator {
public:
  /// |handle| is ready; this rank is member |self| of |size|. |timeout|: how
  /// long NCCL may take to connect members when they first meet in an
  /// operation.
  NcclCommunicator(std::shared_ptr<const NcclLibrary> library,
                   std::shared_ptr<NcclHandle> handle, std::string name,
                   unsigned self, unsigned size,
                   std::chrono::milliseconds timeout);
  ~NcclCommunicator() override;

  std::string_view name() const override { return name_; }
  unsigned rank() const override { return self_; }
  unsigned size() const override { return size_; }
  Capabilities capabilities() const override {
    return {.exactCounts = false, .hostOrdered = false, .rankOrderSums = false};
  }
  /// H6005: it moves a device's memory alone.
  Status run(const Operation &operation, Deadline deadline) override;
  void abort() noexcept override { handle_->abort(); }
  Status enqueue(const Operation &operation, DeviceStream stream) override;
  Status await(const Operation &operation, const DeviceTest &reached,
               const DeviceTest &done,
               std::chrono::milliseconds timeout) override;
  Status registerMemory(Address address, uint64_t bytes) override;

private:
  Result start(const Operation &operation, const Part &part, Comm comm,
               Stream stream) const;
  Status until(const Operation &operation, const DeviceTest &test,
               Deadline deadline);

  const std::shared_ptr<const NcclLibrary> library_;
  const std::shared_ptr<NcclHandle> handle_;
  const std::string name_;
  const unsigned self_, size_;
  const std::chrono::milliseconds timeout_;
  std::vector<void *> registered_;
};

} // namespace hadal::comm::nccl
