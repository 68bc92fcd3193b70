// The functions of Open MPI 4 and 5 that we use, found in the library at run
// time: its ABI is declared here, so that no header is needed to build.
#pragma once

#include <atomic>
#include <span>
#include <string>

#include "runtime/base/Status.h"

namespace hadal::comm {

/// Open MPI's handles are pointers.
using MpiHandle = void *;

class MpiLibrary {
public:
  /// The library of this process, opened and started as |rank| of |ranks| by
  /// the first call; later ones give the same. H6005, H6007.
  static StatusOr<MpiLibrary *> open(unsigned rank, unsigned ranks);

  const std::string &version() const { return version_; }

  /// Begins to send |bytes| to |rank|, or to receive them from it. H6007.
  Status send(const void *data, int bytes, unsigned rank, int tag,
              MpiHandle &request);
  Status receive(void *data, int bytes, unsigned rank, int tag,
                 MpiHandle &request);
  /// Whether all |requests| are complete; makes them progress. Complete ones
  /// become null(). H6007.
  StatusOr<bool> test(std::span<MpiHandle> requests);
  MpiHandle null() const { return null_; }

  /// An operation has failed: the library is not asked to end in order, which
  /// could wait for a lost rank.
  void abandon() { abandoned_ = true; }

private:
  MpiLibrary() = default;
  Status load();
  Status start(unsigned ranks);
  Status checkRanks(unsigned rank, unsigned ranks) const;
  Status check(int code, std::string_view what) const;
  static void finalize(int status, void *);

  template <typename Function>
  Status find(Function *&function, const char *name);

  void *library_ = nullptr;
  std::string path_, version_;
  MpiHandle world_ = nullptr, byte_ = nullptr, null_ = nullptr,
            errorsReturn_ = nullptr;
  int mpiRank_ = 0, mpiRanks_ = 0;
  std::atomic<bool> abandoned_ = false;

  int (*initThread_)(int *, char ***, int, int *) = nullptr;
  int (*finalize_)() = nullptr;
  int (*rank_)(MpiHandle, int *) = nullptr;
  int (*size_)(MpiHandle, int *) = nullptr;
  int (*setErrorHandler_)(MpiHandle, MpiHandle) = nullptr;
  int (*errorString_)(int, char *, int *) = nullptr;
  int (*libraryVersion_)(char *, int *) = nullptr;
  int (*isend_)(const void *, int, MpiHandle, int, int, MpiHandle,
                MpiHandle *) = nullptr;
  int (*irecv_)(void *, int, MpiHandle, int, int, MpiHandle,
                MpiHandle *) = nullptr;
  int (*testall_)(int, MpiHandle *, int *, void *) = nullptr;
};

} // namespace hadal::comm
