#include "runtime/comm/control/WatchedCommunicator.h"

#include "runtime/comm/Operation.h"
#include "runtime/comm/control/Fault.h"

namespace hadal::comm {

namespace {

class Watched final : public Communicator {
public:
  Watched(ControlPlane &plane, std::unique_ptr<Communicator> communicator,
          std::span<const unsigned> members)
      : plane_(plane), communicator_(std::move(communicator)),
        members_(members.begin(), members.end()) {
    plane_.add(communicator_.get());
  }
  ~Watched() override { plane_.remove(communicator_.get()); }

  std::string_view name() const override { return communicator_->name(); }
  unsigned rank() const override { return communicator_->rank(); }
  unsigned size() const override { return communicator_->size(); }
  Capabilities capabilities() const override {
    return communicator_->capabilities();
  }
  void abort() noexcept override {
    aborted_ = true;
    communicator_->abort();
  }

  Status run(const Operation &operation, Deadline deadline) override {
    // What this rank alone is wrong about is no failure of the run yet.
    HADAL_RETURN_IF_ERROR(checkOperation(name(), size(), operation));
    reachPlace(plane_.rank(), operation.label);
    HADAL_RETURN_IF_ERROR(plane_.enter(*communicator_, members_, operation));
    Status status = communicator_->run(operation, deadline);
    if (!status.ok())
      status = blame(status, ControlPlane::Clock::now() >= deadline);
    plane_.leave(status.ok());
    return status;
  }

  Status enqueue(const Operation &operation, DeviceStream stream) override {
    HADAL_RETURN_IF_ERROR(checkOperation(name(), size(), operation));
    Status status = communicator_->enqueue(operation, stream);
    if (!status.ok())
      status = blame(status, /*isLate=*/false);
    return status;
  }

  /// Until the stream has come to the operation this rank computes, however
  /// long that takes; then it waits for others.
  Status await(const Operation &operation, const DeviceTest &reached,
               const DeviceTest &done,
               std::chrono::milliseconds timeout) override {
    bool entered = false;
    ControlPlane::Clock::time_point deadline;
    Status status = communicator_->await(
        operation,
        [&]() -> StatusOr<bool> {
          HADAL_ASSIGN_OR_RETURN(bool here, reached());
          if (!here || entered)
            return here;
          reachPlace(plane_.rank(), operation.label);
          HADAL_RETURN_IF_ERROR(
              plane_.enter(*communicator_, members_, operation));
          entered = true;
          deadline = ControlPlane::Clock::now() + timeout;
          return true;
        },
        done, timeout);
    if (!status.ok())
      status = blame(status, entered && ControlPlane::Clock::now() >= deadline);
    if (entered)
      plane_.leave(status.ok());
    return status;
  }

  Status registerMemory(Address address, uint64_t bytes) override {
    return communicator_->registerMemory(address, bytes);
  }

private:
  /// The failure of the run that |status| is a sign of; itself, if it is the
  /// failure. |isLate|: its time was over.
  Status blame(const Status &status, bool isLate) {
    // All ranks are wrong together.
    if (status.code() == 6006)
      plane_.failAll(status);
    if ((status.code() == 6001 || status.code() == 6007) && !aborted_) {
      if (status.code() == 6001 && isLate)
        return plane_.late();
      if (std::optional<Status> failure = plane_.failureSoon())
        return *failure;
    }
    plane_.fail(status);
    return status;
  }

  ControlPlane &plane_;
  const std::unique_ptr<Communicator> communicator_;
  const std::vector<unsigned> members_;
  std::atomic<bool> aborted_ = false; ///< by this rank
};

} // namespace

std::unique_ptr<Communicator>
createWatched(ControlPlane &plane, std::unique_ptr<Communicator> communicator,
              std::span<const unsigned> members) {
  return std::make_unique<Watched>(plane, std::move(communicator), members);
}

} // namespace hadal::comm
