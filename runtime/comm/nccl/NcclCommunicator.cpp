#include "runtime/comm/nccl/NcclCommunicator.h"

#include "runtime/comm/Operation.h"
#include "runtime/comm/nccl/Pause.h"

namespace hadal::comm::nccl {

namespace {

using Clock = std::chrono::steady_clock;

/// Between two questions for asynchronous errors.
constexpr std::chrono::milliseconds kPollEvery{1};
/// Of calls at the end of a communicator, which has nothing under way.
constexpr std::chrono::seconds kEndLimit{5};

const uint8_t *at(Address address, uint64_t offset) {
  return reinterpret_cast<const uint8_t *>(address) + offset;
}

void *to(Address address, uint64_t offset = 0) {
  return reinterpret_cast<uint8_t *>(address) + offset;
}

} // namespace

NcclCommunicator::NcclCommunicator(std::shared_ptr<const NcclLibrary> library,
                                   std::shared_ptr<NcclHandle> handle,
                                   std::string name, unsigned self,
                                   unsigned size,
                                   std::chrono::milliseconds timeout)
    : library_(std::move(library)), handle_(std::move(handle)),
      name_(std::move(name)), self_(self), size_(size), timeout_(timeout) {}

NcclCommunicator::~NcclCommunicator() {
  for (void *registration : registered_)
    (void)handle_->call(
        "ncclCommDeregister", Clock::now() + kEndLimit, [&](Comm &comm) {
          return library_->api().commDeregister(comm, registration);
        });
}

Status NcclCommunicator::run(const Operation &operation, Deadline) {
  return error(6005,
               "communicator '{}': {} of host memory; NCCL moves that of "
               "devices alone",
               name_, describe(operation));
}

Result NcclCommunicator::start(const Operation &operation, const Part &part,
                               Comm comm, Stream stream) const {
  const Api &api = library_->api();
  const uint64_t block = part.rows * part.rowBytes;
  const int type = part.dtype == DType::bf16 ? kBfloat16 : kFloat32;
  if (!block)
    return kSuccess;
  switch (operation.kind) {
  case Kind::allGather:
    return api.allGather(at(part.send, 0), to(part.receive), block, kInt8, comm,
                         stream);
  case Kind::reduceScatter:
    return api.reduceScatter(at(part.send, 0), to(part.receive),
                             block / dtypeSize(part.dtype), type, kSum, comm,
                             stream);
  case Kind::allReduce:
    return api.allReduce(at(part.send, 0), to(part.receive),
                         block / dtypeSize(part.dtype), type, kSum, comm,
                         stream);
  case Kind::allToAll:
    break;
  }
  if (api.alltoAll)
    return api.alltoAll(at(part.send, 0), to(part.receive), block, kInt8, comm,
                        stream);
  Result result = kSuccess;
  for (unsigned peer = 0; peer < size_ && result == kSuccess; ++peer) {
    result = api.send(at(part.send, peer * block), block, kInt8,
                      static_cast<int>(peer), comm, stream);
    if (result == kSuccess)
      result = api.recv(to(part.receive, peer * block), block, kInt8,
                        static_cast<int>(peer), comm, stream);
  }
  return result;
}

Status NcclCommunicator::enqueue(const Operation &operation,
                                 DeviceStream stream) {
  HADAL_RETURN_IF_ERROR(checkOperation(name_, size_, operation));
  const Api &api = library_->api();
  // One group: its parts go in one kernel. It ends also when a part fails, or
  // the thread would stay in it.
  return handle_->call(describe(operation), Clock::now() + timeout_,
                       [&](Comm &comm) {
                         Result result = api.groupStart();
                         if (result != kSuccess)
                           return result;
                         for (const Part &part : operation.parts)
                           if (result == kSuccess)
                             result = start(operation, part, comm, stream);
                         const Result ended = api.groupEnd();
                         return result == kSuccess ? ended : result;
                       });
}

Status NcclCommunicator::until(const Operation &operation,
                               const DeviceTest &test, Deadline deadline) {
  Clock::time_point nextPoll = Clock::now() + kPollEvery;
  for (Pause pause;; pause()) {
    if (handle_->aborted())
      return handle_->abortedError();
    HADAL_ASSIGN_OR_RETURN(bool come, test());
    if (come)
      return {};
    const Clock::time_point now = Clock::now();
    if (now >= nextPoll) {
      HADAL_RETURN_IF_ERROR(handle_->poll());
      nextPoll = now + kPollEvery;
    }
    if (now >= deadline)
      return error(6001, "communicator '{}': {} is not complete in time", name_,
                   describe(operation));
  }
}

Status NcclCommunicator::await(const Operation &operation,
                               const DeviceTest &reached,
                               const DeviceTest &done,
                               std::chrono::milliseconds timeout) {
  HADAL_RETURN_IF_ERROR(until(operation, reached, Clock::time_point::max()));
  HADAL_RETURN_IF_ERROR(until(operation, done, Clock::now() + timeout));
  // The stream also goes on behind what NCCL has given up.
  return handle_->poll();
}

Status NcclCommunicator::registerMemory(Address address, uint64_t bytes) {
  const Api &api = library_->api();
  // Graphs have their buffers registered by NCCL itself.
  if (!api.commRegister || !api.commDeregister || !bytes)
    return {};
  void *registration = nullptr;
  HADAL_RETURN_IF_ERROR(handle_->call(
      "ncclCommRegister", Clock::now() + timeout_, [&](Comm &comm) {
        return api.commRegister(comm, to(address), bytes, &registration);
      }));
  // NCCL gives none where it has no use for one.
  if (registration)
    registered_.push_back(registration);
  return {};
}

} // namespace hadal::comm::nccl
