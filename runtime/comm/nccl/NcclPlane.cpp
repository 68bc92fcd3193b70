// How communicators are made: the first of some ranks by an id that one of them
// hands out, those within it by splitting it.
#include <algorithm>
#include <cstring>

#include "runtime/comm/nccl/Nccl.h"
#include "runtime/comm/nccl/NcclCommunicator.h"

namespace hadal::comm {

using namespace nccl;

namespace {

using Clock = std::chrono::steady_clock;

/// What a rank says to all when a communicator is made: its members, the
/// communicators that they could be split from, by number, and the id, if it is
/// the first of its members.
struct Proposal {
  std::vector<uint32_t> members, parents;
  UniqueId id = {};

  std::vector<uint8_t> write() const {
    const uint32_t sizes[] = {static_cast<uint32_t>(members.size()),
                              static_cast<uint32_t>(parents.size())};
    std::vector<uint8_t> bytes;
    add(bytes, sizes, sizeof(sizes));
    add(bytes, members.data(), members.size() * sizeof(uint32_t));
    add(bytes, parents.data(), parents.size() * sizeof(uint32_t));
    add(bytes, &id, sizeof(id));
    return bytes;
  }

  /// False if |bytes| are none.
  bool read(std::span<const uint8_t> bytes) {
    uint32_t sizes[2];
    if (!take(bytes, sizes, sizeof(sizes)) ||
        bytes.size() !=
            (uint64_t{sizes[0]} + sizes[1]) * sizeof(uint32_t) + sizeof(id))
      return false;
    members.resize(sizes[0]);
    parents.resize(sizes[1]);
    return take(bytes, members.data(), members.size() * sizeof(uint32_t)) &&
           take(bytes, parents.data(), parents.size() * sizeof(uint32_t)) &&
           take(bytes, &id, sizeof(id)) && !members.empty();
  }

private:
  static void add(std::vector<uint8_t> &bytes, const void *data, size_t size) {
    const auto *begin = static_cast<const uint8_t *>(data);
    bytes.insert(bytes.end(), begin, begin + size);
  }
  static bool take(std::span<const uint8_t> &bytes, void *data, size_t size) {
    if (bytes.size() < size)
      return false;
    if (size)
      std::memcpy(data, bytes.data(), size);
    bytes = bytes.subspan(size);
    return true;
  }
};

class NcclPlane final : public DataPlane {
public:
  NcclPlane(std::shared_ptr<const NcclLibrary> library, Group &group,
            const NcclOptions &options)
      : library_(std::move(library)), group_(group), timeout_(options.timeout) {
  }

  std::string description() const override { return library_->description(); }

  StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) override {
    const Clock::time_point deadline = Clock::now() + timeout_;
    const auto number = static_cast<uint32_t>(made_.size());
    made_.push_back({{members.begin(), members.end()}, {}});
    HADAL_ASSIGN_OR_RETURN(std::vector<Proposal> all,
                           exchange(members, deadline));
    const auto self = static_cast<unsigned>(
        std::ranges::find(members, group_.rank()) - members.begin());
    auto handle = std::make_shared<NcclHandle>(library_, std::string(name));
    {
      std::lock_guard held(mutex_);
      making_ = handle;
    }
    if (abandoned_)
      handle->abort();
    const std::optional<uint32_t> parent = commonParent(all);
    Status status;
    if (std::shared_ptr<NcclHandle> from =
            parent ? made_[*parent].handle.lock() : nullptr) {
      status = from->split(*handle, static_cast<int>(members.front()),
                           static_cast<int>(self), deadline);
    } else {
      Config config;
      config.blocking = 0;
      status =
          handle->call("ncclCommInitRankConfig", deadline, [&](Comm &comm) {
            return library_->api().commInitRankConfig(
                &comm, static_cast<int>(members.size()),
                all[members.front()].id, static_cast<int>(self), &config);
          });
    }
    if (!status.ok()) {
      handle->abort();
      return status;
    }
    made_[number].handle = handle;
    return std::unique_ptr<Communicator>(std::make_unique<NcclCommunicator>(
        library_, std::move(handle), std::string(name), self,
        static_cast<unsigned>(members.size()), timeout_));
  }

  /// Communicators are aborted by who watches them; the one that is being made
  /// nobody else knows.
  void abandon() noexcept override {
    abandoned_ = true;
    std::lock_guard held(mutex_);
    if (std::shared_ptr<NcclHandle> making = making_.lock())
      making->abort();
  }

private:
  struct Made {
    std::vector<unsigned> members;
    std::weak_ptr<NcclHandle> handle;
  };

  /// What every rank proposes, in rank order.
  StatusOr<std::vector<Proposal>> exchange(std::span<const unsigned> members,
                                           Deadline deadline) {
    Proposal mine;
    mine.members.assign(members.begin(), members.end());
    for (uint32_t i = 0; i < made_.size(); ++i)
      if (!made_[i].handle.expired() &&
          std::ranges::includes(made_[i].members, members))
        mine.parents.push_back(i);
    if (members.front() == group_.rank())
      HADAL_RETURN_IF_ERROR(library_->check(
          library_->api().getUniqueId(&mine.id), "ncclGetUniqueId"));
    HADAL_ASSIGN_OR_RETURN(std::vector<std::vector<uint8_t>> blobs,
                           group_.exchange(mine.write(), deadline));
    std::vector<Proposal> all(blobs.size());
    for (unsigned r = 0; r < blobs.size(); ++r)
      if (!all[r].read(blobs[r]))
        return error(6006,
                     "rank {} sent {} bytes that propose no communicator; "
                     "start the same hadal on all ranks",
                     r, blobs[r].size());
    for (unsigned r : members)
      if (all[r].members != mine.members)
        return error(6006,
                     "ranks {} and {} make communicators of {} and {} members "
                     "at once; all ranks must run the same artifact",
                     group_.rank(), r, members.size(), all[r].members.size());
    return all;
  }

  /// The first communicator that all ranks can split theirs from.
  static std::optional<uint32_t>
  commonParent(const std::vector<Proposal> &all) {
    for (uint32_t parent : all.front().parents)
      if (std::ranges::all_of(all, [&](const Proposal &proposal) {
            return std::ranges::binary_search(proposal.parents, parent);
          }))
        return parent;
    return std::nullopt;
  }

  const std::shared_ptr<const NcclLibrary> library_;
  Group &group_;
  const std::chrono::milliseconds timeout_;
  std::atomic<bool> abandoned_ = false;
  std::vector<Made> made_; ///< in the order of all ranks
  std::mutex mutex_;       ///< guards what follows
  std::weak_ptr<NcclHandle> making_;
};

} // namespace

StatusOr<std::unique_ptr<DataPlane>> openNccl(Group &group,
                                              const NcclOptions &options) {
  HADAL_ASSIGN_OR_RETURN(NcclLibrary library,
                         NcclLibrary::open(options.library));
  return std::unique_ptr<DataPlane>(std::make_unique<NcclPlane>(
      std::make_shared<const NcclLibrary>(std::move(library)), group, options));
}

} // namespace hadal::comm
