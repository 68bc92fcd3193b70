#include "test/runtime/comm/nccl/FakeNccl.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include <unistd.h>

#include "runtime/base/Float.h"
#include "test/runtime/comm/nccl/FakeWorld.h"
#include "test/runtime/drivers/cuda/FakeCuda.h"

using namespace hadal;
using namespace hadal::comm::nccl;

namespace {

/// The libcuda that the process uses.
struct CudaHooks {
  decltype(&fakeCudaEnqueue) enqueue;
  decltype(&fakeCudaCurrentDevice) currentDevice;
  decltype(&fakeCudaMemory) memory;
};
const CudaHooks &hooks() {
  static const CudaHooks found = [] {
    const char *path = std::getenv("HADAL_LIBCUDA");
    void *handle = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    CudaHooks result = {};
    auto find = [&](auto &member, const char *name) {
      member = reinterpret_cast<std::remove_reference_t<decltype(member)>>(
          handle ? dlsym(handle, name) : nullptr);
      if (!member) {
        fmt::print(stderr, "FakeNccl: HADAL_LIBCUDA names no fake libcuda\n");
        std::abort();
      }
    };
    find(result.enqueue, "fakeCudaEnqueue");
    find(result.currentDevice, "fakeCudaCurrentDevice");
    find(result.memory, "fakeCudaMemory");
    return result;
  }();
  return found;
}

FakeNccl state;

/// Files that ranks which never came left behind go with the process.
class Files {
public:
  void add(const std::string &path) {
    std::lock_guard held(mutex);
    paths.push_back(path);
  }
  ~Files() {
    for (const std::string &path : paths)
      ::unlink(path.c_str());
  }

private:
  std::mutex mutex;
  std::vector<std::string> paths;
} files;

void violation(const std::string &text) {
  std::lock_guard held(state.mutex);
  fmt::print(stderr, "FakeNccl: {}\n", text);
  state.violations.push_back(text);
}

uint64_t sizeOf(int type) {
  return type == kFloat32 ? 4 : type == kBfloat16 ? 2 : 1;
}

struct Task {
  FakeTask said;
  const void *from = nullptr;
  void *to = nullptr;
};
struct Operation;

} // namespace

namespace hadal::comm::nccl {

/// A communicator; never freed, so that uses of a dead one are seen.
struct CommHandle {
  std::shared_ptr<FakeWorld> world;
  unsigned rank = 0, ranks = 0;
  std::atomic<bool> aborted = false;
  bool dead = false, finalized = false;
  uint64_t next = 0;                  ///< operation
  const Operation *running = nullptr; ///< on a stream
  uint32_t splits = 0;
  /// What is in progress: called until it is true.
  std::function<bool()> pending;
  /// Graphs that hold an operation of it hold this.
  std::shared_ptr<int> captured = std::make_shared<int>();
  std::string lastError;
};

} // namespace hadal::comm::nccl

namespace {

/// A group call on one communicator, run whenever its stream comes to it.
struct Operation {
  Comm comm;
  std::vector<Task> tasks;
  bool isCaptured = false;
  std::shared_ptr<int> token; ///< of a captured one
  bool hasArrived = false;
  std::vector<uint8_t> data, mask;

  FakeWorld &world() const { return *comm->world; }
  bool isOver() const {
    return comm->aborted || world().header().failure.load() != 0;
  }
  bool finish() {
    hasArrived = false;
    comm->running = nullptr;
    return true;
  }
  bool refuse(const std::string &text) {
    world().fail(kInvalidUsage, text);
    violation(text);
    return finish();
  }

  bool run() {
    if (isOver())
      return finish();
    if (!hasArrived) {
      if (comm->running && comm->running != this)
        return refuse(
            fmt::format("rank {}: two operations of a communicator run at "
                        "once, on two streams",
                        comm->rank));
      comm->running = this;
      for (unsigned r = 0; r < comm->ranks; ++r)
        if (world().slot(r).done < comm->next)
          return false;
      if (!arrive())
        return finish();
    }
    for (unsigned r = 0; r < comm->ranks; ++r)
      if (world().slot(r).arrived <= comm->next)
        return false;
    for (unsigned r = 0; r < comm->ranks; ++r)
      if (world().slot(r).captured != isCaptured)
        return refuse(fmt::format("operation {} is captured on some ranks "
                                  "only: not on rank {}",
                                  comm->next, isCaptured ? r : comm->rank));
    std::string wrong;
    for (size_t i = 0; i < tasks.size() && wrong.empty(); ++i)
      wrong = receive(i);
    if (!wrong.empty())
      return refuse(fmt::format("operation {}: {}", comm->next, wrong));
    world().slot(comm->rank).done = ++comm->next;
    return finish();
  }

  /// Leaves in the area what the others take.
  bool arrive() {
    FakeSlot &mine = world().slot(comm->rank);
    uint8_t *area = world().area(comm->rank);
    uint64_t at = 0;
    if (tasks.size() > kFakeTasks)
      return refuse(fmt::format("a group of {} calls", tasks.size())), false;
    for (size_t i = 0; i < tasks.size(); ++i) {
      FakeTask &said = tasks[i].said;
      said.offset = at;
      at += 2 * said.bytes;
      if (at > kFakeArea)
        return refuse("an operation larger than the fake's area"), false;
      if (said.bytes)
        hooks().memory()->copyOut(
            reinterpret_cast<cuda::DevicePointer>(tasks[i].from), said.bytes,
            area + said.offset, area + said.offset + said.bytes);
      mine.task[i] = said;
    }
    for (const Task &task : tasks)
      if (uint64_t bytes = receivedBytes(task.said))
        hooks().memory()->undefine(
            reinterpret_cast<cuda::DevicePointer>(task.to), bytes);
    mine.captured = isCaptured;
    mine.tasks = static_cast<uint32_t>(tasks.size());
    mine.arrived = comm->next + 1;
    return hasArrived = true;
  }

  uint64_t receivedBytes(const FakeTask &task) const {
    const uint64_t bytes = task.count * sizeOf(task.type);
    switch (task.kind) {
    case FakeTask::send:
      return 0;
    case FakeTask::allGather:
    case FakeTask::allToAll:
      return bytes * comm->ranks;
    default:
      return bytes;
    }
  }

  /// Takes what task |index| receives; "" or what is wrong.
  std::string receive(size_t index) {
    const FakeTask &task = tasks[index].said;
    if (task.kind == FakeTask::send)
      return matchSend(index);
    data.resize(receivedBytes(task));
    mask.resize(data.size());
    std::string wrong = task.kind == FakeTask::receive ? takeFromPeer(index)
                                                       : takeCollective(index);
    if (wrong.empty() && !data.empty())
      hooks().memory()->copyIn(
          reinterpret_cast<cuda::DevicePointer>(tasks[index].to), data.size(),
          data.data(), mask.data());
    return wrong;
  }

  /// The |n|-th task of |kind| with peer |peer| of rank |rank|.
  const FakeTask *find(unsigned rank, FakeTask::Kind kind, unsigned peer,
                       unsigned n) {
    const FakeSlot &slot = world().slot(rank);
    for (uint32_t i = 0; i < slot.tasks; ++i)
      if (slot.task[i].kind == kind &&
          static_cast<unsigned>(slot.task[i].peer) == peer && !n--)
        return &slot.task[i];
    return nullptr;
  }
  /// How many tasks of its kind and peer come before task |index|.
  unsigned before(size_t index) const {
    unsigned n = 0;
    for (size_t i = 0; i < index; ++i)
      n += tasks[i].said.kind == tasks[index].said.kind &&
           tasks[i].said.peer == tasks[index].said.peer;
    return n;
  }

  std::string matchSend(size_t index) {
    const FakeTask &mine = tasks[index].said;
    const FakeTask *theirs = find(static_cast<unsigned>(mine.peer),
                                  FakeTask::receive, comm->rank, before(index));
    if (!theirs || theirs->count != mine.count)
      return fmt::format("rank {} sends {} elements to rank {}, which expects "
                         "{}",
                         comm->rank, mine.count, mine.peer,
                         theirs ? theirs->count : 0);
    return "";
  }

  std::string takeFromPeer(size_t index) {
    const FakeTask &mine = tasks[index].said;
    const auto peer = static_cast<unsigned>(mine.peer);
    const FakeTask *theirs =
        find(peer, FakeTask::send, comm->rank, before(index));
    if (!theirs || theirs->count != mine.count || theirs->type != mine.type)
      return fmt::format("rank {} expects {} elements from rank {}, which "
                         "sends {}",
                         comm->rank, mine.count, peer,
                         theirs ? theirs->count : 0);
    copy(peer, *theirs, 0, 0, theirs->bytes);
    return "";
  }

  void copy(unsigned rank, const FakeTask &task, uint64_t from, uint64_t to,
            uint64_t bytes) {
    const uint8_t *area = world().area(rank) + task.offset;
    std::memcpy(data.data() + to, area + from, bytes);
    std::memcpy(mask.data() + to, area + task.bytes + from, bytes);
  }

  std::string takeCollective(size_t index) {
    const FakeTask &mine = tasks[index].said;
    const uint64_t block = mine.count * sizeOf(mine.type);
    const unsigned n = comm->ranks;
    // Which of the collectives of a rank it is.
    for (unsigned r = 0; r < n; ++r) {
      const FakeSlot &slot = world().slot(r);
      const FakeTask &theirs = slot.task[index];
      if (slot.tasks != tasks.size() || theirs.kind != mine.kind ||
          theirs.count != mine.count || theirs.type != mine.type ||
          theirs.op != mine.op)
        return fmt::format("ranks {} and {} call different collectives, or of "
                           "{} and {} elements",
                           comm->rank, r, mine.count, theirs.count);
    }
    switch (mine.kind) {
    case FakeTask::allGather:
      for (unsigned r = 0; r < n; ++r)
        copy(r, world().slot(r).task[index], 0, r * block, block);
      break;
    case FakeTask::allToAll:
      for (unsigned r = 0; r < n; ++r)
        copy(r, world().slot(r).task[index], comm->rank * block, r * block,
             block);
      break;
    case FakeTask::sum:
      sumUp(index, 0, block);
      break;
    default:
      sumUp(index, comm->rank * block, block);
      break;
    }
    return "";
  }

  /// In the order that no caller may rely on: from the last rank down, rounded
  /// at each.
  void sumUp(size_t index, uint64_t from, uint64_t bytes) {
    const int type = tasks[index].said.type;
    const uint64_t step = sizeOf(type);
    std::vector<uint8_t> sum;
    for (unsigned r = comm->ranks; r-- > 0;) {
      const FakeTask &theirs = world().slot(r).task[index];
      const uint8_t *area = world().area(r) + theirs.offset + from;
      if (sum.empty() && bytes) {
        sum.assign(area, area + bytes);
        std::memcpy(mask.data(), area + theirs.bytes, bytes);
        continue;
      }
      for (uint64_t i = 0; i < bytes; i += step)
        add(sum.data() + i, area + i, type);
      for (uint64_t i = 0; i < bytes; ++i)
        mask[i] &= area[theirs.bytes + i];
    }
    data = sum;
  }
  static void add(uint8_t *to, const uint8_t *from, int type) {
    if (type == kFloat32) {
      float a, b;
      std::memcpy(&a, to, 4);
      std::memcpy(&b, from, 4);
      a += b;
      std::memcpy(to, &a, 4);
      return;
    }
    uint16_t a, b;
    std::memcpy(&a, to, 2);
    std::memcpy(&b, from, 2);
    a = f32ToBf16(bf16ToF32(a) + bf16ToF32(b));
    std::memcpy(to, &a, 2);
  }
};

/// Calls between ncclGroupStart and ncclGroupEnd.
struct Call {
  Comm comm;
  Stream stream;
  Task task;
};
thread_local int depth = 0;
thread_local std::vector<Call> group;

bool isUsable(Comm comm, const char *what) {
  if (comm && !comm->dead && !comm->aborted && !comm->finalized)
    return true;
  violation(fmt::format("{} of a communicator that is {}", what,
                        !comm           ? "null"
                        : comm->aborted ? "aborted"
                                        : "finalized"));
  return false;
}

/// Puts the calls of a group on their streams when it is polled for.
Result endGroup() {
  std::vector<Call> calls = std::move(group);
  group.clear();
  std::function<void()> hook;
  {
    std::lock_guard held(state.mutex);
    ++state.groups;
    hook = state.onGroupEnd;
  }
  if (hook)
    hook();
  if (calls.empty())
    return kSuccess;
  Comm comm = calls.front().comm;
  auto operation = std::make_shared<Operation>();
  operation->comm = comm;
  for (Call &call : calls) {
    if (call.comm != comm || call.stream != calls.front().stream) {
      violation("a group of several communicators or streams");
      return kInvalidUsage;
    }
    operation->tasks.push_back(call.task);
  }
  if (comm->pending) {
    violation("an operation while another is in progress");
    return kInvalidUsage;
  }
  comm->pending = [comm, operation, stream = calls.front().stream] {
    // Set before the stream can run it: that takes a call of this thread.
    operation->isCaptured =
        hooks().enqueue(static_cast<cuda::Stream>(stream), comm,
                        [operation] { return operation->run(); });
    if (operation->isCaptured) {
      operation->token = comm->captured;
      std::lock_guard held(state.mutex);
      ++state.captured;
    }
    return true;
  };
  return kInProgress;
}

Result add(Comm comm, Stream stream, FakeTask said, const void *from,
           void *to) {
  if (!isUsable(comm, "a call"))
    return kInvalidArgument;
  if (said.peer < 0 || static_cast<unsigned>(said.peer) >= comm->ranks)
    return kInvalidArgument;
  group.push_back({comm, stream, {said, from, to}});
  return depth ? kSuccess : endGroup();
}

/// Joins |comm| to the world in |path|; false until all ranks have.
bool join(Comm comm, const std::string &path) {
  if (!comm->world) {
    comm->world = FakeWorld::open(path, comm->ranks);
    if (!comm->world) {
      violation("cannot make the file " + path);
      return true;
    }
    comm->world->slot(comm->rank).process = ::getpid();
    ++comm->world->header().joined;
  }
  bool connects;
  {
    std::lock_guard held(state.mutex);
    connects = state.connects;
  }
  FakeWorld &world = *comm->world;
  if (!connects || world.header().joined < comm->ranks)
    return false;
  if (comm->rank == 0)
    ::unlink(path.c_str());
  for (unsigned a = 0; a < comm->ranks; ++a)
    for (unsigned b = 0; b < a; ++b)
      if (world.slot(a).process == world.slot(b).process &&
          world.slot(a).device == world.slot(b).device)
        world.fail(kInvalidUsage, fmt::format("Duplicate GPU detected: ranks "
                                              "{} and {} both on device {}",
                                              b, a, world.slot(a).device));
  return true;
}

Comm newComm(unsigned rank, unsigned ranks) {
  auto *comm = new CommHandle;
  comm->rank = rank;
  comm->ranks = ranks;
  std::lock_guard held(state.mutex);
  ++state.live;
  return comm;
}

bool isGood(const Config *config) {
  return config && config->size == sizeof(Config) &&
         config->magic == kConfigMagic && config->version == kMinimumVersion &&
         config->blocking == 0;
}

} // namespace

#define FAKE(name, ...) extern "C" Result name(__VA_ARGS__)

extern "C" FakeNccl *fakeNccl() { return &state; }

FAKE(ncclGetVersion, int *version) {
#ifdef FAKE_NCCL_OLD
  *version = FAKE_NCCL_OLD;
#else
  *version = 22809;
#endif
  return kSuccess;
}
extern "C" const char *ncclGetErrorString(Result result) {
  static thread_local std::string text;
  text = fmt::format("fake error {}", result);
  return text.c_str();
}
extern "C" const char *ncclGetLastError(Comm comm) {
  static thread_local std::string text;
  text = comm && comm->world ? comm->world->header().text : "";
  return text.c_str();
}
FAKE(ncclGetUniqueId, UniqueId *id) {
  const char *directory = std::getenv("TMPDIR");
  std::memset(id, 0, sizeof(*id));
  const auto end = fmt::format_to_n(id->bytes, sizeof(id->bytes) - 1,
                                    "{}/hadal-fake-nccl-XXXXXX",
                                    directory ? directory : "/tmp");
  const int file = end.size < sizeof(id->bytes) ? ::mkstemp(id->bytes) : -1;
  if (file < 0)
    return kInvalidArgument;
  ::close(file);
  files.add(id->bytes);
  return kSuccess;
}
FAKE(ncclCommInitRankConfig, Comm *comm, int ranks, UniqueId id, int rank,
     Config *config) {
  if (!isGood(config) || ranks < 1 || ranks > int(kFakeRanks) || rank < 0 ||
      rank >= ranks || !id.bytes[0])
    return kInvalidArgument;
  const int device = hooks().currentDevice();
  if (device < 0) {
    violation("no device is current");
    return kInvalidUsage;
  }
  Comm made = *comm =
      newComm(static_cast<unsigned>(rank), static_cast<unsigned>(ranks));
  made->world = FakeWorld::open(id.bytes, made->ranks);
  if (!made->world)
    return kInvalidArgument;
  made->world->slot(made->rank).process = ::getpid();
  made->world->slot(made->rank).device = device;
  ++made->world->header().joined;
  made->pending = [made, path = std::string(id.bytes)] {
    return join(made, path);
  };
  std::lock_guard held(state.mutex);
  ++state.inits;
  return kInProgress;
}
FAKE(ncclCommSplit, Comm parent, int color, int key, Comm *comm,
     Config *config) {
  if (!isGood(config) || color < 0 || !isUsable(parent, "ncclCommSplit"))
    return kInvalidArgument;
  Comm made = *comm = newComm(0, 0);
  const uint32_t number = ++parent->splits;
  FakeSlot &mine = parent->world->slot(parent->rank);
  mine.color = color;
  mine.key = key;
  mine.splits = number;
  parent->pending = [parent, made, number, color, key] {
    FakeWorld &world = *parent->world;
    for (unsigned r = 0; r < parent->ranks; ++r)
      if (world.slot(r).splits < number)
        return false;
    for (unsigned r = 0; r < parent->ranks; ++r)
      if (world.slot(r).color == color) {
        ++made->ranks;
        made->rank += world.slot(r).key < key;
      }
    const std::string path = fmt::format("{}.{}.{}", world.path, number, color);
    files.add(path);
    const int device = world.slot(parent->rank).device;
    made->pending = [made, path, device] {
      if (!made->world) {
        made->world = FakeWorld::open(path, made->ranks);
        if (!made->world)
          return true;
        made->world->slot(made->rank).process = ::getpid();
        made->world->slot(made->rank).device = device;
        ++made->world->header().joined;
      }
      return join(made, path);
    };
    return true;
  };
  std::lock_guard held(state.mutex);
  ++state.splits;
  return kInProgress;
}
FAKE(ncclCommGetAsyncError, Comm comm, Result *error) {
  if (!comm || comm->dead || comm->aborted) {
    violation("ncclCommGetAsyncError of a communicator that is aborted");
    return kInvalidArgument;
  }
  if (comm->pending) {
    // What it does may start something else.
    auto pending = comm->pending;
    if (pending())
      comm->pending = nullptr;
  }
  *error = comm->pending ? kInProgress : kSuccess;
  if (comm->world)
    if (Result failure = comm->world->header().failure.load())
      *error = failure;
  std::lock_guard held(state.mutex);
  if (state.asyncError != kSuccess)
    *error = state.asyncError;
  return kSuccess;
}
FAKE(ncclCommFinalize, Comm comm) {
  if (!isUsable(comm, "ncclCommFinalize"))
    return kInvalidArgument;
  if (comm->captured.use_count() > 1)
    violation("a communicator ends before the graphs that hold its operations");
  comm->finalized = true;
  return kSuccess;
}
FAKE(ncclCommDestroy, Comm comm) {
  if (!comm || comm->dead || comm->aborted) {
    violation("ncclCommDestroy of a communicator that is dead");
    return kInvalidArgument;
  }
  comm->dead = true;
  std::lock_guard held(state.mutex);
  --state.live;
  return kSuccess;
}
FAKE(ncclCommAbort, Comm comm) {
  if (comm->aborted.exchange(true))
    violation("a communicator is aborted twice");
  std::lock_guard held(state.mutex);
  ++state.aborts;
  return kSuccess;
}
FAKE(ncclGroupStart) {
  ++depth;
  return kSuccess;
}
FAKE(ncclGroupEnd) {
  if (!depth)
    return kInvalidUsage;
  return --depth ? kSuccess : endGroup();
}
FAKE(ncclSend, const void *from, size_t count, int type, int peer, Comm comm,
     Stream stream) {
  return add(comm, stream,
             {.kind = FakeTask::send,
              .type = type,
              .peer = peer,
              .count = count,
              .bytes = count * sizeOf(type)},
             from, nullptr);
}
FAKE(ncclRecv, void *to, size_t count, int type, int peer, Comm comm,
     Stream stream) {
  return add(
      comm, stream,
      {.kind = FakeTask::receive, .type = type, .peer = peer, .count = count},
      nullptr, to);
}
FAKE(ncclAllGather, const void *from, void *to, size_t count, int type,
     Comm comm, Stream stream) {
  return add(comm, stream,
             {.kind = FakeTask::allGather,
              .type = type,
              .count = count,
              .bytes = count * sizeOf(type)},
             from, to);
}
FAKE(ncclReduceScatter, const void *from, void *to, size_t count, int type,
     int op, Comm comm, Stream stream) {
  return add(comm, stream,
             {.kind = FakeTask::sumScatter,
              .type = type,
              .op = op,
              .count = count,
              .bytes = comm ? comm->ranks * count * sizeOf(type) : 0},
             from, to);
}
FAKE(ncclAllReduce, const void *from, void *to, size_t count, int type, int op,
     Comm comm, Stream stream) {
  return add(comm, stream,
             {.kind = FakeTask::sum,
              .type = type,
              .op = op,
              .count = count,
              .bytes = count * sizeOf(type)},
             from, to);
}
#ifndef FAKE_NCCL_OLD
FAKE(ncclAlltoAll, const void *from, void *to, size_t count, int type,
     Comm comm, Stream stream) {
  return add(comm, stream,
             {.kind = FakeTask::allToAll,
              .type = type,
              .count = count,
              .bytes = comm ? comm->ranks * count * sizeOf(type) : 0},
             from, to);
}
FAKE(ncclCommRegister, Comm comm, void *buffer, size_t bytes, void **handle) {
  if (!isUsable(comm, "ncclCommRegister") || !buffer || !bytes)
    return kInvalidArgument;
  *handle = buffer;
  std::lock_guard held(state.mutex);
  ++state.registrations;
  return kSuccess;
}
FAKE(ncclCommDeregister, Comm comm, void *) {
  if (!isUsable(comm, "ncclCommDeregister"))
    return kInvalidArgument;
  std::lock_guard held(state.mutex);
  --state.registrations;
  return kSuccess;
}
FAKE(ncclCommRevoke, Comm comm, int flags) {
  return flags ? kInvalidArgument : ncclCommAbort(comm);
}
#endif
