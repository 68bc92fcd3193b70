#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// H6005: what only a device-ordered backend does is asked of another.
static Status notOfDevices(const Communicator &communicator) {
  return error(6005,
               "communicator '{}' moves host memory, the device's was given; "
               "start the ranks with --comm nccl",
               communicator.name());
}

Status Communicator::enqueue(const Operation &, DeviceStream) {
  return notOfDevices(*this);
}

Status Communicator::await(const Operation &, const DeviceTest &,
                           const DeviceTest &, std::chrono::milliseconds) {
  return notOfDevices(*this);
}

Status Communicator::registerMemory(Address, uint64_t) {
  return notOfDevices(*this);
}

} // namespace hadal::comm
