#include "runtime/comm/control/ControlPlane.h"

#include <cerrno>
#include <ctime>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/comm/Agreement.h"
#include "runtime/comm/RankList.h"
#include "runtime/comm/control/Fault.h"
#include "runtime/comm/control/WatchedCommunicator.h"

namespace hadal::comm {

namespace {

constexpr uint64_t kWakeTag = 0;
/// How long an interrupted rank may take to end its waits by itself.
constexpr std::chrono::milliseconds kInterruptGrace{500};
/// Of a failure while a library is opened, which waits for lost ranks for ever.
constexpr std::chrono::milliseconds kOpeningGrace{300};
/// How long the end waits for a peer to take the last word.
constexpr std::chrono::milliseconds kLastWord{500};

/// Ends the process whatever its other threads do: it calls no library, as one
/// may hold any lock.
void endLater(std::chrono::milliseconds delay, int exitCode) {
  std::thread([delay, exitCode] {
    timespec left = {static_cast<time_t>(delay.count() / 1000),
                     static_cast<long>(delay.count() % 1000 * 1'000'000)};
    while (::nanosleep(&left, &left) != 0 && errno == EINTR)
      ;
    ::syscall(SYS_exit_group, exitCode);
  }).detach();
}

} // namespace

ControlPlane::ControlPlane(GroupOptions options)
    : options_(std::move(options)) {
  char host[sizeof(identity_.host)] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0)
    setText(identity_.host, host);
  identity_.pid = ::getpid();
}

ControlPlane::~ControlPlane() = default;

Status ControlPlane::join() {
  const Clock::time_point deadline = Clock::now() + options_.joinTimeout;
  {
    Lock lock(mutex_);
    epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
    wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll_ || !wake_)
      return error(5014, "epoll: {}", std::strerror(errno));
    watch(wake_.get(), kWakeTag);
    label_ = "join";
    HADAL_RETURN_IF_ERROR(open(deadline));
    thread_ = std::thread([this] { loop(); });
    changed_.wait(lock, [&] { return joined_ || failed(); });
    if (failed())
      return failure_;
  }
  return openDataPlane(deadline);
}

/// Opens it on all ranks and has all of them know how it went.
Status ControlPlane::openDataPlane(Clock::time_point deadline) {
  if (!options_.openDataPlane)
    return {};
  report({.label = "open the communication library"});
  {
    Lock lock(mutex_);
    opening_ = true;
  }
  auto plane = options_.openDataPlane(*this);
  {
    Lock lock(mutex_);
    opening_ = false;
    if (plane.ok()) {
      dataPlane_ = std::move(*plane);
      if (failed())
        dataPlane_->abandon();
    }
  }
  HADAL_RETURN_IF_ERROR(shareStatus(*this, plane.status(), deadline));
  report({});
  return {};
}

// ---- calls of the run's threads

StatusOr<ControlPlane::Blobs>
ControlPlane::exchange(std::span<const uint8_t> mine, Deadline deadline) {
  if (mine.size() > kMaxBlob)
    return error(5014, "an exchange of {} bytes, expected at most {}",
                 mine.size(), kMaxBlob);
  reachPlace(rank(), "agreement");
  Lock lock(mutex_);
  if (failed())
    return failure_;
  ++exchanges_;
  result_.reset();
  state_ = PlaceState::agreement;
  waitBegan_ = Clock::now();
  contribute(mine);
  changed_.wait_until(lock, deadline, [&] { return result_ || failed(); });
  if (!result_ && !failed())
    waitForVerdict(lock);
  state_ = PlaceState::running;
  if (!result_)
    return failure_;
  Blobs result = std::move(*result_);
  result_.reset();
  return result;
}

StatusOr<std::unique_ptr<Communicator>>
ControlPlane::create(std::string_view name, std::span<const unsigned> members) {
  if (std::ranges::find(members, rank()) == members.end() ||
      !std::ranges::is_sorted(members) || members.back() >= size())
    return error(5014,
                 "communicator '{}' of {}: expected ascending ranks below {} "
                 "with rank {} among them",
                 name, rankList(members), size(), rank());
  // Of a run that has failed it is created all the same, on all members: the
  // first operation says so.
  if (!dataPlane_)
    return error(6005,
                 "communicator '{}': this run was started without a "
                 "communication library; start it with --comm mpi or nccl",
                 name);
  auto communicator = dataPlane_->create(name, members);
  if (!communicator.ok()) {
    // One whose members connect fails with the run.
    Lock lock(mutex_);
    return failed() ? failure_ : communicator.status();
  }
  return createWatched(*this, std::move(*communicator), members);
}

void ControlPlane::report(const Progress &progress) noexcept {
  reachPlace(rank(), progress.label);
  Lock lock(mutex_);
  step_ = progress.step;
  sequence_ = progress.sequence;
  entry_ = progress.entry;
  label_ = progress.label;
}

void ControlPlane::fail(const Status &status) noexcept {
  Lock lock(mutex_);
  failRun(status, error(6001, "{} ended with: {}",
                        describeRank(rank(), identity_), status.toString()));
}

void ControlPlane::failAll(const Status &status) {
  Lock lock(mutex_);
  failRun(status);
}

Status ControlPlane::enter(const Communicator &communicator,
                           std::span<const unsigned> members,
                           const Operation &operation) {
  uint64_t bytes = 0;
  for (const Part &part : operation.parts)
    bytes += part.rows * part.rowBytes;
  Lock lock(mutex_);
  if (failed())
    return failure_;
  flight_.begin(communicator.name(), operation, bytes);
  state_ = PlaceState::collective;
  waitBegan_ = Clock::now();
  waitSequence_ = operation.sequence;
  waitLabel_ = operation.label;
  communicator_ = communicator.name();
  firstMember_ = members.front();
  lastMember_ = members.back();
  return {};
}

void ControlPlane::leave(bool complete) {
  Lock lock(mutex_);
  flight_.end(complete);
  state_ = PlaceState::running;
  sequence_ = doneSequence_ = waitSequence_;
  doneStep_ = step_;
}

Status ControlPlane::late() {
  Lock lock(mutex_);
  if (!failed())
    waitForVerdict(lock);
  return failure_;
}

void ControlPlane::waitForVerdict(Lock &lock) {
  askWhoIsLate();
  wake();
  const auto patience =
      options_.silence + options_.settle + std::chrono::seconds(1);
  if (!changed_.wait_for(lock, patience, [&] { return failed(); }))
    failRun(error(6001, "rank 0 does not say who is late; rank {} {}", rank(),
                  describeActivity(place(Clock::now()))));
}

std::optional<Status> ControlPlane::failureSoon() {
  Lock lock(mutex_);
  changed_.wait_for(lock, 2 * options_.settle, [&] { return failed(); });
  return failed() ? std::optional(failure_) : std::nullopt;
}

void ControlPlane::add(Communicator *communicator) {
  std::lock_guard lock(registryMutex_);
  registry_.insert(communicator);
  if (aborted_)
    communicator->abort();
}

void ControlPlane::remove(Communicator *communicator) {
  std::lock_guard lock(registryMutex_);
  registry_.erase(communicator);
}

void ControlPlane::abortAll() {
  std::lock_guard lock(registryMutex_);
  aborted_ = true;
  for (Communicator *communicator : registry_)
    communicator->abort();
}

// ---- for the roles

void ControlPlane::failRun(const Status &mine, const Status &theirs) {
  if (failed())
    return;
  if (options_.exitAfter.count() > 0)
    endLater(opening_ ? std::min(kOpeningGrace, options_.exitAfter)
                      : options_.exitAfter,
             mine.exitCode());
  if (dataPlane_)
    dataPlane_->abandon();
  if (!theirs.ok())
    tellFailure(theirs);
  if (!options_.flightRecord.empty())
    if (Status written = flight_.write(options_.flightRecord, rank(), identity_,
                                       place(Clock::now()), mine);
        !written.ok())
      notice(written.toString());
  failure_ = mine;
  changed_.notify_all();
  wake();
  helper_ = std::thread([this, mine] {
    if (options_.onFailure)
      options_.onFailure(mine);
    abortAll();
  });
}

void ControlPlane::setJoined() {
  joined_ = true;
  label_.clear();
  changed_.notify_all();
}

void ControlPlane::deliver(Blobs result) {
  result_ = std::move(result);
  changed_.notify_all();
}

Status ControlPlane::outOfPlace(unsigned from, const Frame &frame) const {
  return error(6007,
               "rank {} sent a frame of type {} (exchange {}, {} bytes) that "
               "does not belong here",
               from, frame.header.type, frame.header.sequence,
               frame.header.payload);
}

void ControlPlane::watch(int fd, uint64_t tag, bool alsoWrite) {
  epoll_event event = {};
  event.events = EPOLLIN | (alsoWrite ? EPOLLOUT : 0u);
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

FrameHeader ControlPlane::header(FrameType type) const {
  FrameHeader header;
  header.type = static_cast<uint16_t>(type);
  header.rank = rank();
  header.ranks = size();
  header.step = step_;
  return header;
}

Place ControlPlane::place(Clock::time_point now) const {
  Place place;
  place.step = step_;
  place.entry = entry_;
  place.state = state_;
  place.sequence = sequence_;
  place.label = label_;
  place.doneSequence = doneSequence_;
  place.doneStep = doneStep_;
  if (state_ == PlaceState::collective) {
    place.sequence = waitSequence_;
    place.label = waitLabel_;
    place.communicator = communicator_;
    place.firstMember = firstMember_;
    place.lastMember = lastMember_;
  }
  if (state_ != PlaceState::running)
    place.waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - waitBegan_);
  return place;
}

void ControlPlane::sendChunks(Connection &connection, FrameType type,
                              std::span<const uint8_t> bytes) {
  FrameHeader head = header(type);
  head.sequence = exchanges_;
  do {
    const size_t n = std::min<size_t>(bytes.size(), kMaxPayload);
    head.state = n < bytes.size();
    connection.send(head, bytes.first(n));
    bytes = bytes.subspan(n);
  } while (head.state);
}

void ControlPlane::stop() {
  reachPlace(rank(), "end");
  {
    Lock lock(mutex_);
    if (!thread_.joinable()) // join() did not come so far
      return;
    leaving_ = true;
    if (!failed())
      sayBye();
    wake();
    if (!changed_.wait_for(lock, options_.leaveTimeout,
                           [&] { return failed() || mayGo(); }))
      failRun(whoStays());
    // What we have said last is lost with the socket if the other side still
    // sends: it must have been taken first.
    changed_.wait_for(lock, kLastWord, [&] { return mayGo(); });
    stopping_ = true;
    wake();
  }
  thread_.join();
  if (helper_.joinable())
    helper_.join();
}

// ---- the thread

void ControlPlane::wake() {
  const uint64_t one = 1;
  // Fails if it is set already, which is as good.
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof(one));
}

void ControlPlane::checkInterrupt(Clock::time_point now) {
  if (!options_.interrupt || !*options_.interrupt || failed())
    return;
  if (!interrupted_)
    interrupted_ = now;
  if (now - *interrupted_ < kInterruptGrace)
    return;
  const Status status = error(5016, "interrupted; rank {} {}", rank(),
                              describeActivity(place(now)));
  failRun(status, error(6001, "{} ended with: {}",
                        describeRank(rank(), identity_), status.toString()));
}

void ControlPlane::loop() {
  std::array<epoll_event, 64> events;
  Clock::time_point last = Clock::now(), nextBeat = last;
  while (true) {
    std::chrono::milliseconds timeout;
    {
      Lock lock(mutex_);
      timeout = nextTick();
    }
    int n = ::epoll_wait(epoll_.get(), events.data(), events.size(),
                         static_cast<int>(timeout.count()));
    std::vector<std::string> notices;
    {
      Lock lock(mutex_);
      const Clock::time_point now = Clock::now();
      if (now - last > options_.silence / 2)
        forgiven_ = now;
      last = now;
      for (int i = 0; i < n; ++i) {
        if (events[i].data.u64 != kWakeTag) {
          onEvent(events[i].data.u64, events[i].events, now);
          continue;
        }
        uint64_t count;
        [[maybe_unused]] ssize_t got =
            ::read(wake_.get(), &count, sizeof(count));
      }
      const bool beat = now >= nextBeat;
      if (beat)
        nextBeat = now + options_.heartbeat;
      onTick(now, beat);
      checkInterrupt(now);
      changed_.notify_all();
      notices.swap(notices_);
      if (stopping_ && notices.empty())
        return;
    }
    if (options_.onNotice)
      for (const std::string &text : notices)
        options_.onNotice(text);
  }
}

StatusOr<std::unique_ptr<Group>> joinGroup(GroupOptions options) {
  reachPlace(options.rank, "join");
  if (options.ranks == 0 || options.ranks > kMaxRanks ||
      options.rank >= options.ranks)
    return error(5011,
                 "rank {} of {} ranks: expected at most {} ranks, "
                 "counted from 0",
                 options.rank, options.ranks, kMaxRanks);
  std::unique_ptr<ControlPlane> plane = options.rank == 0
                                            ? createHub(std::move(options))
                                            : createSpoke(std::move(options));
  HADAL_RETURN_IF_ERROR(plane->join());
  return std::unique_ptr<Group>(std::move(plane));
}

} // namespace hadal::comm
