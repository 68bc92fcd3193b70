// What both roles of the control plane have in common: rank 0 is the hub of a
// star of sockets, all others are its spokes. A thread of the group owns the
// sockets, sends heartbeats and watches the others; calls of the run's threads
// wait for what it finds. One lock guards everything; nothing foreign is called
// with it held.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "runtime/comm/control/Connection.h"
#include "runtime/comm/control/FlightRecord.h"
#include "runtime/comm/control/Join.h"
#include "runtime/comm/control/Place.h"

namespace hadal::comm {

inline constexpr unsigned kMaxRanks = 1024;
/// Most bytes that a rank gives to an exchange.
inline constexpr size_t kMaxBlob = 16u << 20;

class ControlPlane : public Group {
public:
  using Clock = std::chrono::steady_clock;
  using Blobs = std::vector<std::vector<uint8_t>>;

  explicit ControlPlane(GroupOptions options);
  ~ControlPlane() override;

  /// Meets the other ranks.
  Status join();

  unsigned rank() const override { return options_.rank; }
  unsigned size() const override { return options_.ranks; }
  StatusOr<Blobs> exchange(std::span<const uint8_t> mine,
                           Deadline deadline) override;
  StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) override;
  void report(const Progress &progress) noexcept override;
  void fail(const Status &status) noexcept override;
  /// As fail(), with |status| the failure of all ranks.
  void failAll(const Status &status);

  // ---- for WatchedCommunicator

  /// This rank enters |operation| with |members|. The failure of the run, if it
  /// has failed.
  Status enter(const Communicator &communicator,
               std::span<const unsigned> members, const Operation &operation);
  void leave(bool complete);
  /// The deadline of a wait has passed: asks who is late and waits for the
  /// answer, which fails the run. Returns the failure.
  Status late();
  /// The failure of the run; waits a moment for it, since a communicator may
  /// see a lost peer before the hub has said so.
  std::optional<Status> failureSoon();
  void add(Communicator *communicator);
  void remove(Communicator *communicator);

protected:
  using Lock = std::unique_lock<std::mutex>;

  // What a role does; all with the lock held.

  /// Opens the sockets, before the thread runs.
  virtual Status open(Clock::time_point deadline) = 0;
  /// Sends this rank's part of an exchange.
  virtual void contribute(std::span<const uint8_t> mine) = 0;
  virtual void onEvent(uint64_t tag, uint32_t events,
                       Clock::time_point now) = 0;
  /// |beat|: it is time for a heartbeat.
  virtual void onTick(Clock::time_point now, bool beat) = 0;
  virtual void tellFailure(const Status &status) = 0;
  virtual void askWhoIsLate() = 0;
  virtual void sayBye() = 0;
  /// Whether all that was sent has come through, and nobody needs us.
  virtual bool mayGo() const = 0;
  /// The error of those that do not leave.
  virtual Status whoStays() const = 0;
  /// How soon onTick() wants to be called.
  virtual std::chrono::milliseconds nextTick() const = 0;

  /// Ends the run for this rank with |mine|, unless it has ended already: tells
  /// the others |theirs| (if that is an error), writes the flight record, wakes
  /// who waits, and has helper threads abort what is under way and end the
  /// process in time.
  void failRun(const Status &mine, const Status &theirs);
  void failRun(const Status &status) { failRun(status, status); }
  bool failed() const { return !failure_.ok(); }
  bool joined() const { return joined_; }
  bool leaving() const { return leaving_; }
  void setJoined();
  void deliver(Blobs result);
  /// |last|, when a rank was heard; later if this process itself slept since,
  /// so that it does not take its own absence for the others'.
  Clock::time_point heardSince(Clock::time_point last) const {
    return std::max(last, forgiven_);
  }
  /// The error of a frame that does not belong where it came.
  Status outOfPlace(unsigned from, const Frame &frame) const;

  /// Has onEvent() called with |tag| for what comes on |fd|; also when more can
  /// be sent, if |alsoWrite|. Called again, it changes both.
  void watch(int fd, uint64_t tag, bool alsoWrite = false);

  FrameHeader header(FrameType type) const;
  /// Where this rank is, now.
  Place place(Clock::time_point now) const;
  /// Sends |bytes| as chunks of frames of |type|.
  void sendChunks(Connection &connection, FrameType type,
                  std::span<const uint8_t> bytes);
  void notice(std::string text) { notices_.push_back(std::move(text)); }
  /// Leaves the run and stops the thread: by the roles' destructors.
  void stop();

  const GroupOptions options_;
  Identity identity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t exchanges_ = 0; ///< begun by this rank

private:
  void loop();
  void wake();
  Status openDataPlane(Clock::time_point deadline);
  void checkInterrupt(Clock::time_point now);
  void waitForVerdict(Lock &lock);
  void abortAll();

  Descriptor epoll_, wake_;
  std::thread thread_, helper_;
  bool stopping_ = false, joined_ = false, leaving_ = false;
  Clock::time_point forgiven_;
  Status failure_;
  std::optional<Blobs> result_;

  // Where this rank is.
  uint64_t step_ = 0, sequence_ = 0;
  std::string entry_, label_;
  PlaceState state_ = PlaceState::running;
  uint32_t firstMember_ = 0, lastMember_ = 0;
  std::string waitLabel_, communicator_;
  uint64_t doneSequence_ = kNoCollective, doneStep_ = 0;
  uint64_t waitSequence_ = 0;
  Clock::time_point waitBegan_;
  std::optional<Clock::time_point> interrupted_;

  FlightRecord flight_;
  std::vector<std::string> notices_;
  std::unique_ptr<DataPlane> dataPlane_;
  bool opening_ = false; ///< the data plane, which nobody can abort
  /// Guards what follows; never held together with mutex_.
  std::mutex registryMutex_;
  std::set<Communicator *> registry_;
  bool aborted_ = false;
};

std::unique_ptr<ControlPlane> createHub(GroupOptions options);
std::unique_ptr<ControlPlane> createSpoke(GroupOptions options);

} // namespace hadal::comm
