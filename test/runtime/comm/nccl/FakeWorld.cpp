#include "test/runtime/comm/nccl/FakeWorld.h"

#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace hadal::comm::nccl {

namespace {

constexpr uint64_t kHeaderBytes = (sizeof(FakeHeader) + 4095) / 4096 * 4096;

uint64_t sizeOf(unsigned ranks) { return kHeaderBytes + ranks * kFakeArea; }

} // namespace

std::shared_ptr<FakeWorld> FakeWorld::open(const std::string &path,
                                           unsigned ranks) {
  // Holes take no room: a rank touches what it sends.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(sizeOf(ranks))) != 0)
    return nullptr;
  void *memory = ::mmap(nullptr, sizeOf(ranks), PROT_READ | PROT_WRITE,
                        MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED)
    return nullptr;
  return std::shared_ptr<FakeWorld>(new FakeWorld(path, ranks, memory));
}

FakeWorld::~FakeWorld() { ::munmap(memory, sizeOf(ranks)); }

uint8_t *FakeWorld::area(unsigned rank) {
  return static_cast<uint8_t *>(memory) + kHeaderBytes + rank * kFakeArea;
}

void FakeWorld::fail(Result result, const std::string &text) {
  int32_t none = 0;
  // The text first: who sees the failure reads it.
  if (!header().text[0])
    std::strncpy(header().text, text.c_str(), sizeof(header().text) - 1);
  header().failure.compare_exchange_strong(none, result);
}

} // namespace hadal::comm::nccl
