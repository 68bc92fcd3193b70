#include "runtime/base/MappedFile.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/Interrupt.h"

namespace hadal {

namespace {

//===----------------------------------------------------------------------===//
// The SIGBUS registry. The handler may run at any instruction of any thread, so
// it only walks a list of nodes that are never freed and reads atomics; nodes
// are taken and given back under a mutex by normal code.
//===----------------------------------------------------------------------===//

struct GuardNode {
  std::atomic<uintptr_t> begin{0}; // 0: free
  std::atomic<uintptr_t> end{0};
  char path[1024] = {};
  GuardNode *next = nullptr;
};

std::mutex guardMutex;
std::atomic<GuardNode *> guardList{nullptr};
std::atomic<uint64_t> mappedBytes{0};
struct sigaction previousAction;

void writeText(const char *text) {
  // Nothing can be done about a failing stderr here.
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, text, std::strlen(text));
}

void onSigbus(int signal, siginfo_t *info, void *context) {
  uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (GuardNode *node = guardList.load(); node; node = node->next) {
    uintptr_t begin = node->begin.load();
    if (begin == 0 || address < begin || address >= node->end.load())
      continue;
    writeText("error H5012: cannot read '");
    writeText(node->path);
    writeText("': the file shrank or its storage failed while it was mapped; "
              "restore the file and start again\n");
    endAfterCleanUp(3);
  }
  if (previousAction.sa_flags & SA_SIGINFO) {
    previousAction.sa_sigaction(signal, info, context);
  } else if (previousAction.sa_handler != SIG_DFL &&
             previousAction.sa_handler != SIG_IGN) {
    previousAction.sa_handler(signal);
  } else {
    // The fault repeats on return and then ends the process as it would have.
    ::signal(SIGBUS, SIG_DFL);
  }
}

/// Puts [begin, begin + bytes) under the handler; the slot for unguardMapping.
void *guardMapping(const void *begin, uint64_t bytes, const std::string &path) {
  std::lock_guard<std::mutex> lock(guardMutex);
  GuardNode *node = guardList.load();
  while (node && node->begin.load() != 0)
    node = node->next;
  bool isNew = !node;
  if (isNew)
    node = new GuardNode;
  size_t length = std::min(path.size(), sizeof(node->path) - 1);
  std::memcpy(node->path, path.data(), length);
  node->path[length] = 0;
  uintptr_t address = reinterpret_cast<uintptr_t>(begin);
  node->end.store(address + bytes);
  node->begin.store(address);
  if (isNew) {
    node->next = guardList.load();
    guardList.store(node);
  }
  return node;
}

void unguardMapping(void *slot) {
  std::lock_guard<std::mutex> lock(guardMutex);
  static_cast<GuardNode *>(slot)->begin.store(0);
}

/// Closes a descriptor at the end of a scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

} // namespace

void endProcessAtLostMapping() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = onSigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previousAction);
  });
}

StatusOr<MappedFile> MappedFile::open(const std::string &path,
                                      std::optional<uint64_t> expectedBytes) {
  // Not to wait for the writer of a pipe, which is then refused.
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0)
    return error(5001, "cannot open '{}': {}", path, std::strerror(errno));
  struct stat info;
  if (::fstat(file.fd, &info) != 0)
    return error(5001, "cannot stat '{}': {}", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    return error(5001, "cannot map '{}': expected a regular file, found {}",
                 path, S_ISDIR(info.st_mode) ? "a directory" : "another kind");
  MappedFile result;
  result.path_ = path;
  result.size_ = static_cast<uint64_t>(info.st_size);
  if (expectedBytes && *expectedBytes != result.size_)
    return error(5001, "'{}' has the wrong size: expected {} bytes, found {}",
                 path, *expectedBytes, result.size_);
  if (result.size_ == 0)
    return result;
  void *address =
      ::mmap(nullptr, result.size_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) {
    int reason = errno;
    uint64_t bytes = std::exchange(result.size_, 0);
    return error(5001, "cannot map '{}' ({} bytes): {}", path, bytes,
                 std::strerror(reason));
  }
  result.data_ = static_cast<const uint8_t *>(address);
  result.guard_ = guardMapping(address, result.size_, path);
  mappedBytes += result.size_;
  return result;
}

MappedFile::~MappedFile() {
  if (!data_)
    return;
  unguardMapping(guard_);
  ::munmap(const_cast<uint8_t *>(data_), size_);
  mappedBytes -= size_;
}

void MappedFile::swap(MappedFile &other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(guard_, other.guard_);
}

void MappedFile::adviseWillNeed(uint64_t offset, uint64_t length) const {
  if (offset >= size_ || length == 0)
    return;
  length = std::min(length, size_ - offset);
  uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  uint64_t begin = offset & ~(page - 1);
  ::madvise(const_cast<uint8_t *>(data_) + begin, offset + length - begin,
            MADV_WILLNEED);
}

uint64_t MappedFile::totalMappedBytes() { return mappedBytes; }

} // namespace hadal
