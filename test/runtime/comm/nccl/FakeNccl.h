// A libnccl for tests: its ranks are threads or processes, which meet in a file
// that all map; its operations run on the streams of the fake libcuda that
// HADAL_LIBCUDA names, whose memory they move. It blocks nobody, as
// communicators that are told so do, and takes an operation in only when it is
// asked how that is going. What NCCL forbids it refuses, or notes.
#pragma once

#include <dlfcn.h>

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/comm/nccl/NcclApi.h"

namespace hadal::comm::nccl {

struct FakeNccl {
  std::mutex mutex; // guards what follows
  // What fails.
  Result asyncError = kSuccess; ///< of every communicator
  bool connects = true;         ///< else ranks never meet
  /// Called at the end of each group, before anything of it is on a stream.
  std::function<void()> onGroupEnd;
  // What happened.
  std::vector<std::string> violations;
  unsigned inits = 0, splits = 0, groups = 0, captured = 0, aborts = 0,
           registrations = 0, live = 0;
};

} // namespace hadal::comm::nccl

extern "C" hadal::comm::nccl::FakeNccl *fakeNccl();

/// The state of the fake in |library|, which is opened if nobody has.
inline hadal::comm::nccl::FakeNccl &openFakeNccl(const char *library) {
  void *handle = dlopen(library, RTLD_NOW);
  return *reinterpret_cast<hadal::comm::nccl::FakeNccl *(*)()>(
      dlsym(handle, "fakeNccl"))();
}
