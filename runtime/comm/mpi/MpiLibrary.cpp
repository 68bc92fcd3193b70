#include "runtime/comm/mpi/MpiLibrary.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <dlfcn.h>
#include <unistd.h>

#include "runtime/base/CpuCount.h"

namespace hadal::comm {

namespace {

constexpr const char *kDefaultPath = "libmpi.so.40";
constexpr int kThreadMultiple = 3; // MPI_THREAD_MULTIPLE
constexpr std::chrono::seconds kFinalizeLimit{5};
constexpr int kMaxText = 8192; // beyond MPI_MAX_LIBRARY_VERSION_STRING

std::mutex openMutex; ///< guards what follows
MpiLibrary *opened = nullptr;
/// Of a first call that failed: MPI cannot be started twice.
Status openFailure;

} // namespace

template <typename Function>
Status MpiLibrary::find(Function *&function, const char *name) {
  function = reinterpret_cast<Function *>(::dlsym(library_, name));
  if (!function)
    return error(6005,
                 "'{}' has no {}: it is not Open MPI; hadal uses the ABI of "
                 "Open MPI 4 or 5 (Debian: libopenmpi3)",
                 path_, name);
  return {};
}

Status MpiLibrary::load() {
  const char *given = std::getenv("HADAL_LIBMPI");
  path_ = given && *given ? given : kDefaultPath;
  // Global: Open MPI's own plugins look for its symbols.
  library_ = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library_)
    return error(6005,
                 "cannot open '{}': {}; install Open MPI (Debian: openmpi-bin "
                 "libopenmpi3), or name its library in HADAL_LIBMPI",
                 path_, ::dlerror());
  char *world = nullptr, *byte = nullptr, *null = nullptr,
       *errorsReturn = nullptr;
  // What only Open MPI has comes first: the message names it.
  HADAL_RETURN_IF_ERROR(find(world, "ompi_mpi_comm_world"));
  HADAL_RETURN_IF_ERROR(find(byte, "ompi_mpi_byte"));
  HADAL_RETURN_IF_ERROR(find(null, "ompi_request_null"));
  HADAL_RETURN_IF_ERROR(find(errorsReturn, "ompi_mpi_errors_return"));
  world_ = world;
  byte_ = byte;
  null_ = null;
  errorsReturn_ = errorsReturn;
  HADAL_RETURN_IF_ERROR(find(initThread_, "MPI_Init_thread"));
  HADAL_RETURN_IF_ERROR(find(finalize_, "MPI_Finalize"));
  HADAL_RETURN_IF_ERROR(find(rank_, "MPI_Comm_rank"));
  HADAL_RETURN_IF_ERROR(find(size_, "MPI_Comm_size"));
  HADAL_RETURN_IF_ERROR(find(setErrorHandler_, "MPI_Comm_set_errhandler"));
  HADAL_RETURN_IF_ERROR(find(errorString_, "MPI_Error_string"));
  HADAL_RETURN_IF_ERROR(find(libraryVersion_, "MPI_Get_library_version"));
  HADAL_RETURN_IF_ERROR(find(isend_, "MPI_Isend"));
  HADAL_RETURN_IF_ERROR(find(irecv_, "MPI_Irecv"));
  return find(testall_, "MPI_Testall");
}

Status MpiLibrary::check(int code, std::string_view what) const {
  if (code == 0)
    return {};
  std::string text(kMaxText, '\0');
  int length = 0;
  errorString_(code, text.data(), &length);
  text.resize(static_cast<size_t>(std::clamp(length, 0, kMaxText)));
  return error(6007, "{} of '{}' failed: {}", what, path_, text);
}

Status MpiLibrary::start(unsigned ranks) {
  // Ranks that wait give way to those that compute where cores are few.
  if (ranks > usableCpus())
    ::setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  int level = 0;
  HADAL_RETURN_IF_ERROR(
      check(initThread_(nullptr, nullptr, kThreadMultiple, &level),
            "MPI_Init_thread"));
  ::on_exit(finalize, nullptr);
  std::string text(kMaxText, '\0');
  int length = 0;
  HADAL_RETURN_IF_ERROR(
      check(libraryVersion_(text.data(), &length), "MPI_Get_library_version"));
  version_ =
      text.substr(0, static_cast<size_t>(std::clamp(length, 0, kMaxText)));
  version_ = version_.substr(0, version_.find(','));
  if (level < kThreadMultiple)
    return error(6005,
                 "'{}' ({}) grants thread level {}, expected {} "
                 "(MPI_THREAD_MULTIPLE); use a build with threads",
                 path_, version_, level, kThreadMultiple);
  HADAL_RETURN_IF_ERROR(check(setErrorHandler_(world_, errorsReturn_),
                              "MPI_Comm_set_errhandler"));
  HADAL_RETURN_IF_ERROR(check(rank_(world_, &mpiRank_), "MPI_Comm_rank"));
  return check(size_(world_, &mpiRanks_), "MPI_Comm_size");
}

Status MpiLibrary::checkRanks(unsigned rank, unsigned ranks) const {
  if (static_cast<unsigned>(mpiRank_) == rank &&
      static_cast<unsigned>(mpiRanks_) == ranks)
    return {};
  return error(6005,
               "MPI calls this process rank {} of {}, it was started as rank "
               "{} of {}; start all ranks with one mpirun or srun, and leave "
               "HADAL_RANK and HADAL_RANKS to it",
               mpiRank_, mpiRanks_, rank, ranks);
}

/// MPI_Finalize waits for all ranks: one that does not come to its end may not
/// keep the others from theirs.
void MpiLibrary::finalize(int status, void *) {
  if (opened->abandoned_)
    return;
  std::thread([status] {
    std::this_thread::sleep_for(kFinalizeLimit);
    ::_exit(status);
  }).detach();
  opened->finalize_();
}

StatusOr<MpiLibrary *> MpiLibrary::open(unsigned rank, unsigned ranks) {
  std::lock_guard lock(openMutex);
  if (!opened) {
    opened = new MpiLibrary; // lives as long as the process
    openFailure = opened->load();
    if (openFailure.ok())
      openFailure = opened->start(ranks);
  }
  HADAL_RETURN_IF_ERROR(openFailure);
  HADAL_RETURN_IF_ERROR(opened->checkRanks(rank, ranks));
  return opened;
}

Status MpiLibrary::send(const void *data, int bytes, unsigned rank, int tag,
                        MpiHandle &request) {
  return check(
      isend_(data, bytes, byte_, static_cast<int>(rank), tag, world_, &request),
      "MPI_Isend");
}

Status MpiLibrary::receive(void *data, int bytes, unsigned rank, int tag,
                           MpiHandle &request) {
  return check(
      irecv_(data, bytes, byte_, static_cast<int>(rank), tag, world_, &request),
      "MPI_Irecv");
}

StatusOr<bool> MpiLibrary::test(std::span<MpiHandle> requests) {
  int all = 0;
  // No statuses: MPI_STATUSES_IGNORE is a null pointer.
  HADAL_RETURN_IF_ERROR(check(testall_(static_cast<int>(requests.size()),
                                       requests.data(), &all, nullptr),
                              "MPI_Testall"));
  return all != 0;
}

} // namespace hadal::comm
