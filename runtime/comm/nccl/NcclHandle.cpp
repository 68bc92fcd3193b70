#include "runtime/comm/nccl/NcclHandle.h"

#include <thread>
#include <utility>

#include "runtime/comm/nccl/Pause.h"

namespace hadal::comm::nccl {

namespace {

using Clock = std::chrono::steady_clock;

/// How long the end waits for the other members.
constexpr std::chrono::seconds kFinalizeLimit{5};
/// How long an abort waits for a thread that is within NCCL: one that comes
/// back later is what it is for.
constexpr std::chrono::milliseconds kCallLimit{100};

} // namespace

NcclHandle::NcclHandle(std::shared_ptr<const NcclLibrary> library,
                       std::string name)
    : state_(std::make_shared<State>()), name_(std::move(name)) {
  state_->library = std::move(library);
}

NcclHandle::~NcclHandle() {
  if (!state_->comm || state_->aborted || state_->failed)
    return;
  const Api &api = state_->library->api();
  Status ended = call("ncclCommFinalize", Clock::now() + kFinalizeLimit,
                      [&](Comm &comm) { return api.commFinalize(comm); });
  // Not said: the run has come to its end without it.
  if (!ended.ok()) {
    abort();
    return;
  }
  Comm comm = nullptr;
  {
    // An abort that has begun frees it; one that begins now finds none.
    std::lock_guard held(state_->mutex);
    if (!state_->aborted)
      comm = std::exchange(state_->comm, nullptr);
  }
  if (comm)
    (void)api.commDestroy(comm);
}

Status NcclHandle::abortedError() const {
  return error(6001, "communicator '{}' was aborted", name_);
}

Status NcclHandle::fail(const Status &status) {
  state_->failed = true;
  return status;
}

Status NcclHandle::call(std::string_view what, Deadline deadline,
                        const std::function<Result(Comm &comm)> &call) {
  const NcclLibrary &library = *state_->library;
  {
    std::lock_guard held(state_->mutex);
    if (state_->aborted)
      return abortedError();
    Result result = call(state_->comm);
    if (Status status = library.check(
            result, fmt::format("communicator '{}': {}", name_, what),
            state_->comm);
        !status.ok())
      return fail(status);
    if (result == kSuccess)
      return {};
  }
  for (Pause pause;; pause()) {
    {
      std::lock_guard held(state_->mutex);
      if (state_->aborted)
        return abortedError();
      Result now = kSuccess;
      Result result = library.api().commGetAsyncError(state_->comm, &now);
      if (Status status = library.check(
              result == kSuccess ? now : result,
              fmt::format("communicator '{}': {}", name_, what), state_->comm);
          !status.ok())
        return fail(status);
      if (now == kSuccess)
        return {};
    }
    if (Clock::now() >= deadline)
      return fail(error(6001,
                        "communicator '{}': {} is not complete in time; its "
                        "members cannot reach each other (NCCL_SOCKET_IFNAME "
                        "names the interface to use, NCCL_DEBUG=INFO says "
                        "more), or one of them does not come",
                        name_, what));
  }
}

Status NcclHandle::split(NcclHandle &child, int color, int key,
                         Deadline deadline) {
  const Api &api = state_->library->api();
  Config config;
  config.blocking = 0;
  // Both are in progress until the child is made.
  HADAL_RETURN_IF_ERROR(call("ncclCommSplit", deadline, [&](Comm &comm) {
    return api.commSplit(comm, color, key, &child.state_->comm, &config);
  }));
  return child.call("ncclCommSplit", deadline,
                    [](Comm &) { return kInProgress; });
}

Status NcclHandle::poll() {
  std::lock_guard held(state_->mutex);
  if (state_->aborted)
    return abortedError();
  const NcclLibrary &library = *state_->library;
  Result now = kSuccess;
  Result result = library.api().commGetAsyncError(state_->comm, &now);
  Status status =
      library.check(result == kSuccess ? now : result,
                    fmt::format("communicator '{}'", name_), state_->comm);
  return status.ok() ? status : fail(status);
}

void NcclHandle::abort() noexcept {
  if (state_->aborted.exchange(true))
    return;
  std::thread([state = state_] {
    const Api &api = state->library->api();
    // ncclCommAbort frees the communicator, so that nobody may be in it;
    // ncclCommRevoke only ends its operations.
    const bool held = state->mutex.try_lock_for(kCallLimit);
    Comm comm = state->comm;
    if (held)
      state->mutex.unlock();
    if (!comm)
      return;
    if (api.commRevoke)
      (void)api.commRevoke(comm, 0);
    else
      (void)api.commAbort(comm);
  }).detach();
}

} // namespace hadal::comm::nccl
