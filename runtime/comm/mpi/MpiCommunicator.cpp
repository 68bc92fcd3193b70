// Every operation is messages between each two members, begun and tested, never
// waited for by MPI itself: a blocking call could not be aborted.
#include <map>
#include <mutex>
#include <set>

#include "runtime/base/Hash.h"
#include "runtime/comm/Operation.h"
#include "runtime/comm/mpi/Message.h"
#include "runtime/comm/mpi/Mpi.h"
#include "runtime/comm/mpi/MpiLibrary.h"

namespace hadal::comm {

namespace {

using Clock = std::chrono::steady_clock;

/// One message is at most this long: MPI counts in int.
constexpr size_t kMaxMessage = 1u << 30;
/// Ours among the tags of MPI_COMM_WORLD: two for each communicator.
constexpr int kFirstTag = 1 << 20, kTags = 1 << 29;
/// How long a wait only gives way to other threads, before it sleeps between
/// two looks: for the others to come, and for rows that are under way, which
/// move only while both sides look.
constexpr std::chrono::microseconds kComing{500}, kMoving{100'000}, kSleep{50};

/// The memory and the requests of an operation under way.
struct Transfer {
  std::vector<Message> out; ///< by member
  std::vector<std::vector<uint8_t>> heads, in;
  std::vector<MpiHandle> requests;
};

class MpiCommunicator final : public Communicator {
public:
  MpiCommunicator(MpiLibrary &mpi, std::string_view name,
                  std::span<const unsigned> members, unsigned self, int tag)
      : mpi_(mpi), name_(name), members_(members.begin(), members.end()),
        self_(self), tag_(tag) {}

  std::string_view name() const override { return name_; }
  unsigned rank() const override { return self_; }
  unsigned size() const override {
    return static_cast<unsigned>(members_.size());
  }
  Capabilities capabilities() const override {
    return {.exactCounts = true, .hostOrdered = true};
  }
  void abort() noexcept override { aborted_ = true; }

  Status run(const Operation &operation, Deadline deadline) override {
    if (aborted_)
      return aborted(operation);
    Status status = checkOperation(name_, size(), operation);
    if (status.ok() && operation.parts.size() > kMaxParts)
      status =
          error(6006, "communicator '{}': {}: {} parts, expected at most {}",
                name_, describe(operation), operation.parts.size(), kMaxParts);
    auto transfer = std::make_unique<Transfer>();
    if (status.ok())
      status = move(operation, deadline, *transfer);
    if (status.ok())
      return {};
    aborted_ = true;
    mpi_.abandon();
    // MPI may still read and write the memory of what is under way: it is never
    // given back.
    (void)transfer.release();
    return status;
  }

private:
  Status aborted(const Operation &operation) const {
    return error(6001, "communicator '{}' was aborted at {}", name_,
                 describe(operation));
  }

  Status move(const Operation &operation, Deadline deadline,
              Transfer &transfer) {
    const unsigned n = size();
    transfer.heads.assign(n, {});
    transfer.in.resize(n);
    for (unsigned m = 0; m < n; ++m) {
      HADAL_ASSIGN_OR_RETURN(Message message,
                             pack(name_, n, self_, m, operation));
      transfer.out.push_back(std::move(message));
    }
    // Receives first: what comes then finds its place.
    for (unsigned m = 0; m < n; ++m) {
      if (m == self_)
        continue;
      transfer.heads[m].resize(sizeof(MessageHead) + kInlineBytes);
      HADAL_RETURN_IF_ERROR(receive(transfer.heads[m], m, tag_, transfer));
    }
    const size_t heads = transfer.requests.size();
    for (unsigned m = 0; m < n; ++m) {
      if (m == self_)
        continue;
      HADAL_RETURN_IF_ERROR(send(transfer.out[m].head, m, tag_, transfer));
      HADAL_RETURN_IF_ERROR(send(transfer.out[m].data, m, tag_ + 1, transfer));
    }
    HADAL_RETURN_IF_ERROR(
        wait(operation, deadline, {transfer.requests.data(), heads}, kComing));
    std::vector<MessageHead> all(n);
    HADAL_RETURN_IF_ERROR(readHeads(operation, transfer, all));
    for (unsigned m = 0; m < n; ++m)
      if (m != self_ && all[m].dataBytes > kInlineBytes) {
        transfer.in[m].resize(all[m].dataBytes);
        HADAL_RETURN_IF_ERROR(receive(transfer.in[m], m, tag_ + 1, transfer));
      }
    HADAL_RETURN_IF_ERROR(
        wait(operation, deadline, transfer.requests, kMoving));
    std::vector<const uint8_t *> rows(n);
    for (unsigned m = 0; m < n; ++m) {
      const auto &head = m == self_ ? transfer.out[m].head : transfer.heads[m];
      const auto &data = m == self_ ? transfer.out[m].data : transfer.in[m];
      rows[m] = data.empty() ? head.data() + sizeof(MessageHead) : data.data();
    }
    unpack(self_, operation, all, rows);
    return {};
  }

  Status readHeads(const Operation &operation, const Transfer &transfer,
                   std::vector<MessageHead> &all) const {
    for (unsigned m = 0; m < size(); ++m) {
      const auto &bytes = m == self_ ? transfer.out[m].head : transfer.heads[m];
      std::memcpy(&all[m], bytes.data(), sizeof(MessageHead));
      HADAL_ASSIGN_OR_RETURN(Operation theirs, operationOf(all[m]));
      HADAL_RETURN_IF_ERROR(
          checkSame(name_, members_[self_], operation, members_[m], theirs));
    }
    return {};
  }

  /// Both cut what is too long for one message, at the same places.
  Status send(const std::vector<uint8_t> &bytes, unsigned member, int tag,
              Transfer &transfer) {
    for (size_t at = 0; at < bytes.size(); at += kMaxMessage)
      HADAL_RETURN_IF_ERROR(
          mpi_.send(bytes.data() + at, length(bytes, at), members_[member], tag,
                    transfer.requests.emplace_back(mpi_.null())));
    return {};
  }
  Status receive(std::vector<uint8_t> &bytes, unsigned member, int tag,
                 Transfer &transfer) {
    for (size_t at = 0; at < bytes.size(); at += kMaxMessage)
      HADAL_RETURN_IF_ERROR(
          mpi_.receive(bytes.data() + at, length(bytes, at), members_[member],
                       tag, transfer.requests.emplace_back(mpi_.null())));
    return {};
  }
  static int length(const std::vector<uint8_t> &bytes, size_t at) {
    return static_cast<int>(std::min(kMaxMessage, bytes.size() - at));
  }

  Status wait(const Operation &operation, Deadline deadline,
              std::span<MpiHandle> requests,
              std::chrono::microseconds yielding) {
    for (const Clock::time_point begin = Clock::now();;) {
      HADAL_ASSIGN_OR_RETURN(bool complete, mpi_.test(requests));
      if (complete)
        return {};
      if (aborted_)
        return aborted(operation);
      const Clock::time_point now = Clock::now();
      if (now >= deadline)
        return error(6001, "communicator '{}': {} is not complete in time",
                     name_, describe(operation));
      if (now - begin < yielding)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(kSleep);
    }
  }

  MpiLibrary &mpi_;
  const std::string name_;
  const std::vector<unsigned> members_;
  const unsigned self_;
  const int tag_;
  std::atomic<bool> aborted_ = false;
};

/// The tags in use, of all planes: messages of an aborted communicator may
/// still be under way.
bool takeTag(int tag) {
  static std::mutex mutex;
  static std::set<int> used;
  std::lock_guard lock(mutex);
  return used.insert(tag).second;
}

class MpiPlane final : public DataPlane {
public:
  /// |number| of the plane among those of the process, equal on all ranks.
  MpiPlane(MpiLibrary &mpi, unsigned rank, unsigned number)
      : mpi_(mpi), rank_(rank), number_(number) {}

  std::string description() const override {
    return fmt::format("mpi ({})", mpi_.version());
  }

  StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) override {
    const auto self = static_cast<unsigned>(
        std::find(members.begin(), members.end(), rank_) - members.begin());
    HADAL_ASSIGN_OR_RETURN(int tag, newTag(name, members));
    return std::unique_ptr<Communicator>(
        std::make_unique<MpiCommunicator>(mpi_, name, members, self, tag));
  }

  void abandon() noexcept override { mpi_.abandon(); }

private:
  /// The tag of the communicator |name| of |members|: equal on all of them, and
  /// another one each time it is created. H6005 if it is in use, which a hash
  /// cannot exclude.
  StatusOr<int> newTag(std::string_view name,
                       std::span<const unsigned> members) {
    std::string key = fmt::format("{} {}", fmt::join(members, ","), name);
    key += fmt::format(" {} {}", created_[key]++, number_);
    const int tag = kFirstTag + 2 * static_cast<int>(xxh3(key) % (kTags / 2));
    if (!takeTag(tag))
      return error(6005,
                   "communicator '{}' has the tag of another one; give it "
                   "another name",
                   name);
    return tag;
  }

  MpiLibrary &mpi_;
  const unsigned rank_, number_;
  std::map<std::string, unsigned> created_;
};

} // namespace

StatusOr<std::unique_ptr<DataPlane>> openMpi(unsigned rank, unsigned ranks) {
  HADAL_ASSIGN_OR_RETURN(MpiLibrary * mpi, MpiLibrary::open(rank, ranks));
  static std::atomic<unsigned> planes = 0;
  return std::unique_ptr<DataPlane>(
      std::make_unique<MpiPlane>(*mpi, rank, planes++));
}

} // namespace hadal::comm
