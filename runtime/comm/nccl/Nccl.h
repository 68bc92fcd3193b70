// Communicators over NCCL: NVIDIA's library, opened at run time.
#pragma once

#include "runtime/comm/DataPlane.h"

namespace hadal::comm {

struct NcclOptions {
  /// The library to open; empty: what HADAL_LIBNCCL names, else libnccl.so.2.
  std::string library;
  /// How long the members of a communicator have to connect.
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
};

/// Opens the library. Its communicators are device-ordered, and each rank is a
/// process with one device (threads with a device each will do). H6005 if it is
/// missing or older than 2.18.
StatusOr<std::unique_ptr<DataPlane>> openNccl(Group &group,
                                              const NcclOptions &options = {});

} // namespace hadal::comm
