// One ncclComm_t, which any thread may abort while another uses it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

#include "runtime/comm/Communicator.h"
#include "runtime/comm/nccl/NcclLibrary.h"

namespace hadal::comm::nccl {

/// Calls of it return at once: its communicator blocks nobody, and what it
/// begins is waited for here, by polling, so that an abort ends every wait.
class NcclHandle {
public:
  /// A null communicator, which call() is to make. |name|: for messages.
  NcclHandle(std::shared_ptr<const NcclLibrary> library, std::string name);
  /// Frees the communicator once all its operations are done, unless it was
  /// aborted or has failed: then NCCL may still be in it.
  ~NcclHandle();
  NcclHandle(const NcclHandle &) = delete;
  NcclHandle &operator=(const NcclHandle &) = delete;

  /// Runs |call|, which starts something on the communicator, and waits until
  /// NCCL has taken it in. H6001 after an abort or at |deadline|, H6007.
  Status call(std::string_view what, Deadline deadline,
              const std::function<Result(Comm &comm)> &call);
  /// Makes |child| by ncclCommSplit; all members call it. |color|: equal for
  /// those that |child| has, and |key| their order.
  Status split(NcclHandle &child, int color, int key, Deadline deadline);
  /// H6007 if the library has noticed a failure, H6001 after an abort.
  Status poll();

  /// Has NCCL give up what is under way, in a thread of its own, which nobody
  /// waits for: NCCL may hang in it. Any thread; twice is once.
  void abort() noexcept;
  bool aborted() const { return state_->aborted; }
  Status abortedError() const;

private:
  /// What a thread that aborts still needs when the handle is gone.
  struct State {
    std::shared_ptr<const NcclLibrary> library;
    std::atomic<bool> aborted = false;
    std::atomic<bool> failed = false;
    /// Held for calls of NCCL, which return soon.
    std::timed_mutex mutex;
    Comm comm = nullptr;
  };

  Status fail(const Status &status);

  const std::shared_ptr<State> state_;
  const std::string name_;
};

} // namespace hadal::comm::nccl
