// Where the ranks of a fake communicator meet: a file that all of them map.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/comm/nccl/NcclApi.h"

namespace hadal::comm::nccl {

inline constexpr unsigned kFakeRanks = 16;
inline constexpr unsigned kFakeTasks = 64;
/// What a rank sends in one operation, with a mask of equal size.
inline constexpr uint64_t kFakeArea = uint64_t(64) << 20;

struct FakeTask {
  enum Kind : uint32_t { send, receive, allGather, allToAll, sum, sumScatter };
  Kind kind = send;
  int type = 0, op = 0, peer = 0;
  uint64_t count = 0;  ///< elements
  uint64_t bytes = 0;  ///< that this rank sends
  uint64_t offset = 0; ///< of them in its area; the mask is behind the bytes
  bool operator==(const FakeTask &) const = default;
};

/// What a rank says of itself, and of its operation number `arrived` - 1.
struct FakeSlot {
  int32_t process, device;
  std::atomic<uint64_t> arrived, done; ///< operations
  std::atomic<uint32_t> splits;        ///< that it has said color and key of
  int32_t color, key;
  uint32_t captured, tasks;
  FakeTask task[kFakeTasks];
};

struct FakeHeader {
  std::atomic<uint32_t> joined;
  std::atomic<int32_t> failure; ///< a Result
  char text[256];
  FakeSlot slots[kFakeRanks];
};

class FakeWorld {
public:
  /// The world of |ranks| ranks in the file |path|, which is made; null if that
  /// fails.
  static std::shared_ptr<FakeWorld> open(const std::string &path,
                                         unsigned ranks);
  ~FakeWorld();

  FakeHeader &header() { return *static_cast<FakeHeader *>(memory); }
  FakeSlot &slot(unsigned rank) { return header().slots[rank]; }
  uint8_t *area(unsigned rank);
  /// The first failure counts.
  void fail(Result result, const std::string &text);

  const std::string path;
  const unsigned ranks;

private:
  FakeWorld(std::string path, unsigned ranks, void *memory)
      : path(std::move(path)), ranks(ranks), memory(memory) {}
  void *memory;
};

} // namespace hadal::comm::nccl
