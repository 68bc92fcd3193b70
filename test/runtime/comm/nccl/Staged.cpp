#include "test/runtime/comm/nccl/Staged.h"

#include "runtime/comm/Operation.h"

namespace hadal::test {

using namespace comm;
using Clock = std::chrono::steady_clock;

Status StagedCommunicator::run(const Operation &operation, Deadline deadline) {
  HADAL_RETURN_IF_ERROR(checkOperation(name(), size(), operation));
  const cuda::CudaDevice &device = cuda::deviceOf(driver);
  HADAL_RETURN_IF_ERROR(device.enter());
  const bool sendsAll =
      operation.kind == Kind::allToAll || operation.kind == Kind::reduceScatter;
  const bool takesAll =
      operation.kind == Kind::allToAll || operation.kind == Kind::allGather;
  Operation onDevice = operation;
  std::vector<DeviceBuffer> buffers;
  auto bytesOf = [&](const Part &part, bool all) {
    return part.rows * part.rowBytes * (all ? size() : 1);
  };
  for (Part &part : onDevice.parts) {
    const uint64_t sent = bytesOf(part, sendsAll);
    HADAL_ASSIGN_OR_RETURN(DeviceBuffer send,
                           DeviceBuffer::create(driver, sent));
    HADAL_ASSIGN_OR_RETURN(
        DeviceBuffer receive,
        DeviceBuffer::create(driver, bytesOf(part, takesAll)));
    if (sent)
      HADAL_RETURN_IF_ERROR(driver.write(
          send.address(), reinterpret_cast<const void *>(part.send), sent));
    part.send = send.address();
    part.receive = receive.address();
    buffers.push_back(std::move(send));
    buffers.push_back(std::move(receive));
  }
  cuda::Stream stream = nullptr;
  {
    auto held = device.lock();
    HADAL_ASSIGN_OR_RETURN(stream, device.collectiveStream());
    HADAL_RETURN_IF_ERROR(device.synchronize("what is sent"));
    HADAL_RETURN_IF_ERROR(inner->enqueue(onDevice, stream));
  }
  HADAL_RETURN_IF_ERROR(inner->await(
      operation, [] { return true; },
      [&]() -> StatusOr<bool> {
        const cuda::Result result = device.api().streamQuery(stream);
        if (result == cuda::kNotReady)
          return false;
        HADAL_RETURN_IF_ERROR(device.check(result, "a collective"));
        return true;
      },
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline -
                                                            Clock::now())));
  for (size_t p = 0; p < operation.parts.size(); ++p)
    if (const uint64_t bytes = bytesOf(operation.parts[p], takesAll))
      HADAL_RETURN_IF_ERROR(
          driver.read(reinterpret_cast<void *>(operation.parts[p].receive),
                      onDevice.parts[p].receive, bytes));
  return {};
}

StatusOr<std::unique_ptr<Communicator>>
StagedGroup::create(std::string_view name, std::span<const unsigned> members) {
  HADAL_RETURN_IF_ERROR(cuda::deviceOf(driver).enter());
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> communicator,
                         inner.create(name, members));
  return std::unique_ptr<Communicator>(
      std::make_unique<StagedCommunicator>(std::move(communicator), driver));
}

} // namespace hadal::test
