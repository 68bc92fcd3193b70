// Rank 0 of the control plane: takes the other ranks in, collects what they
// give to exchanges, and says who is lost or late.
#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/OutputFile.h"
#include "runtime/comm/Printable.h"
#include "runtime/comm/RankList.h"
#include "runtime/comm/control/ControlPlane.h"

namespace hadal::comm {

namespace {

using std::chrono::milliseconds;

/// How long a connection may take to prove the token, and how many may be about
/// to: nobody without it can hold much of us, but all ranks may come at once.
constexpr std::chrono::seconds kGreeting{5};
constexpr size_t kMaxGuests = kMaxRanks + 128;
/// Between two looks at the others while a verdict is formed.
constexpr milliseconds kLook{20};

// Tags of the thread's events.
constexpr uint64_t kListenerTag = 1, kPeerTag = 16, kGuestTag = 1u << 20;

/// A connection that has not proved the token yet.
struct Guest {
  Connection connection;
  Nonce nonce;
  ControlPlane::Clock::time_point since;
};

struct Peer {
  std::optional<Connection> connection; ///< none: has not joined, or is gone
  Identity identity;
  ControlPlane::Clock::time_point heard;
  Place place;
  bool answered = false; ///< since the verdict began
  bool left = false, gone = false;
  std::vector<uint8_t> given; ///< to the exchange under way
  bool complete = false;      ///< all of it
};

class Hub final : public ControlPlane {
public:
  explicit Hub(GroupOptions options)
      : ControlPlane(std::move(options)), peers_(size()) {
    peers_[0].identity = identity_;
  }
  ~Hub() override {
    stop();
    if (wroteFile_)
      ::unlink(options_.rendezvous.file.c_str());
  }

private:
  Status open(Clock::time_point deadline) override {
    deadline_ = deadline;
    const Rendezvous &meet = options_.rendezvous;
    if (size() == 1) {
      setJoined();
      return {};
    }
    HADAL_ASSIGN_OR_RETURN(listener_,
                           listenAt(meet.host, meet.port, meet.text(),
                                    deadline));
    watch(listener_.socket.get(), kListenerTag);
    if (meet.file.empty())
      return {};
    HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(meet.file));
    HADAL_RETURN_IF_ERROR(
        file.write(fmt::format("{}:{}\n", meet.host, listener_.port)));
    HADAL_RETURN_IF_ERROR(file.commit());
    wroteFile_ = true;
    return {};
  }

  // ---- taking ranks in

  void acceptAll(Clock::time_point now) {
    while (true) {
      Descriptor socket(::accept4(listener_.socket.get(), nullptr, nullptr,
                                  SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket)
        return;
      auto nonce = randomNonce();
      if (!nonce.ok() || guests_.size() >= kMaxGuests)
        continue;
      const uint64_t tag = nextGuest_++;
      watch(socket.get(), tag);
      Guest &guest =
          guests_
              .emplace(tag, Guest{Connection(std::move(socket), sizeof(Hello)),
                                  *nonce, now})
              .first->second;
      guest.connection.send(header(FrameType::challenge),
                            bytesOf(Challenge{*nonce}));
    }
  }

  void refuse(Connection &connection, const Status &status) {
    FrameHeader head = header(FrameType::refusal);
    head.state = static_cast<uint16_t>(status.code());
    connection.send(head, textBytes(status.message()));
  }

  static std::span<const uint8_t> textBytes(std::string_view text) {
    text = text.substr(0, kMaxText);
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
  }

  void onGuest(uint64_t tag, Clock::time_point now) {
    auto found = guests_.find(tag);
    if (found == guests_.end())
      return;
    bool open = found->second.connection.receive();
    auto frame = found->second.connection.reader().next();
    if (frame.ok() && !*frame && open)
      return;
    auto node = guests_.extract(found); // greet() may drop all guests
    Guest &guest = node.mapped();
    if (!frame.ok() || !*frame || (*frame)->type() != FrameType::hello) {
      ++refused_;
      notice(fmt::format("a connection to {} ended without a greeting{}",
                         options_.rendezvous.text(),
                         frame.ok() ? "" : ": " + frame.status().message()));
      if (!frame.ok())
        refuse(guest.connection, frame.status());
    } else {
      greet(guest, **frame, now);
    }
  }

  void greet(Guest &guest, const Frame &frame, Clock::time_point now) {
    const Hello hello = frame.as<Hello>();
    const uint32_t rank = frame.header.rank, ranks = frame.header.ranks;
    const std::string who = describeRank(rank, hello.identity);
    if (!equal(hello.proof, prove(Side::spoke, options_.token, guest.nonce,
                                  hello.nonce, rank, ranks, hello.identity))) {
      ++refused_;
      notice(fmt::format("refused a connection that says it is {}: its token "
                         "(HADAL_JOB_TOKEN) is another one",
                         who));
      refuse(guest.connection,
             error(6002, "its token (HADAL_JOB_TOKEN) is another one; give all "
                         "ranks of a run the same"));
      return;
    }
    Status wrong;
    if (ranks != size())
      wrong = error(6003,
                    "{} was started as one of {} ranks, rank 0 as one of {}; "
                    "start all with the same number of ranks",
                    who, ranks, size());
    else if (rank >= size())
      wrong = error(6003,
                    "{} is none of the {} ranks of this run; count HADAL_RANK "
                    "from 0",
                    who, size());
    else if (rank == 0 || peers_[rank].connection)
      wrong = error(6003,
                    "two processes say that they are rank {}: {} and {}; give "
                    "each its own HADAL_RANK",
                    rank, describeRank(rank, peers_[rank].identity), who);
    if (!wrong.ok()) {
      refuse(guest.connection, wrong);
      failRun(wrong);
      return;
    }
    Peer &peer = peers_[rank];
    peer.identity = hello.identity;
    peer.heard = now;
    peer.connection.emplace(std::move(guest.connection));
    peer.connection->reader().setLimit(kMaxPayload);
    peer.connection->send(
        header(FrameType::welcome),
        bytesOf(Welcome{prove(Side::hub, options_.token, guest.nonce,
                              hello.nonce, rank, ranks, identity_),
                        identity_}));
    watch(peer.connection->fd(), kPeerTag + rank);
    for (unsigned r = 1; r < size(); ++r)
      if (!peers_[r].connection)
        return;
    for (unsigned r = 1; r < size(); ++r)
      peers_[r].connection->send(header(FrameType::start));
    listener_.socket.close();
    guests_.clear();
    setJoined();
  }

  void checkJoin(Clock::time_point now) {
    std::erase_if(guests_, [&](const auto &guest) {
      return now - guest.second.since > kGreeting;
    });
    if (now < deadline_)
      return;
    std::vector<unsigned> missing;
    for (unsigned r = 1; r < size(); ++r)
      if (!peers_[r].connection)
        missing.push_back(r);
    failRun(error(
        6002, "{} did not join within {:.3g} s at {}{}; start all {} ranks",
        rankList(missing),
        std::chrono::duration<double>(options_.joinTimeout).count(),
        options_.rendezvous.text(),
        refused_ ? fmt::format(" ({} connections were refused)", refused_) : "",
        size()));
  }

  // ---- events

  void onEvent(uint64_t tag, uint32_t events, Clock::time_point now) override {
    if (tag == kListenerTag)
      return acceptAll(now);
    if (tag >= kGuestTag)
      return onGuest(tag, now);
    const auto rank = static_cast<unsigned>(tag - kPeerTag);
    Peer &peer = peers_[rank];
    if (!peer.connection)
      return;
    if (events & EPOLLOUT)
      peer.connection->flush();
    bool open = peer.connection->receive();
    while (peer.connection) {
      auto frame = peer.connection->reader().next();
      if (!frame.ok()) {
        failRun(error(frame.status().code(), "{}: {}",
                      describeRank(rank, peer.identity),
                      frame.status().message()));
        open = false;
        break;
      }
      if (!*frame)
        break;
      peer.heard = now;
      onFrame(rank, **frame, now);
    }
    if (!open)
      lose(rank, now);
    else
      watch(peer.connection->fd(), tag, peer.connection->pending());
  }

  void onFrame(unsigned rank, const Frame &frame, Clock::time_point now) {
    Peer &peer = peers_[rank];
    if (frame.header.rank != rank || frame.header.ranks != size())
      return failRun(outOfPlace(rank, frame));
    switch (frame.type()) {
    case FrameType::heartbeat:
      peer.place = Place::of(frame.as<PlaceRecord>());
      peer.answered = true;
      return;
    case FrameType::contribution:
      if (!joined() || peer.complete || frame.header.sequence != round_ + 1 ||
          peer.given.size() + frame.payload.size() > kMaxBlob)
        return failRun(outOfPlace(rank, frame));
      peer.given.insert(peer.given.end(), frame.payload.begin(),
                        frame.payload.end());
      peer.complete = frame.header.state == 0;
      return finishRound();
    case FrameType::late:
      return judge(now, rank);
    case FrameType::failure: {
      const int code =
          errorSentence(frame.header.state) ? frame.header.state : 6001;
      return failRun(Status(code, printable(frame.text())));
    }
    case FrameType::bye:
      peer.left = true;
      peer.connection->send(header(FrameType::bye));
      return;
    default:
      return failRun(outOfPlace(rank, frame));
    }
  }

  /// The socket of |rank| is closed.
  void lose(unsigned rank, Clock::time_point now) {
    Peer &peer = peers_[rank];
    peer.connection.reset();
    if (peer.left || failed())
      return;
    peer.gone = true;
    if (!joined())
      return failRun(error(6001, "{} ended before all ranks had joined",
                           describeRank(rank, peer.identity)));
    judge(now, std::nullopt);
  }

  // ---- exchanges

  void contribute(std::span<const uint8_t> mine) override {
    peers_[0].given.assign(mine.begin(), mine.end());
    peers_[0].complete = true;
    finishRound();
  }

  /// Hands everybody what all gave, once they have.
  void finishRound() {
    for (const Peer &peer : peers_)
      if (!peer.complete)
        return;
    Blobs blobs;
    std::vector<uint8_t> all;
    for (Peer &peer : peers_) {
      const auto length = static_cast<uint32_t>(peer.given.size());
      const std::span<const uint8_t> head = bytesOf(length);
      all.insert(all.end(), head.begin(), head.end());
      all.insert(all.end(), peer.given.begin(), peer.given.end());
      blobs.push_back(std::move(peer.given));
      peer.given.clear();
      peer.complete = false;
    }
    ++round_;
    for (unsigned r = 1; r < size(); ++r)
      if (peers_[r].connection)
        sendToPeer(r, all);
    deliver(std::move(blobs));
  }

  void sendToPeer(unsigned rank, std::span<const uint8_t> all) {
    Connection &connection = *peers_[rank].connection;
    sendChunks(connection, FrameType::result, all);
    if (connection.pending())
      watch(connection.fd(), kPeerTag + rank, true);
  }

  /// An exchange that will never be complete: someone has left.
  void checkRound() {
    std::vector<unsigned> waiting, left;
    for (unsigned r = 0; r < size(); ++r) {
      if (peers_[r].complete)
        waiting.push_back(r);
      else if (hasLeft(r))
        left.push_back(r);
    }
    if (!waiting.empty() && !left.empty())
      failRun(error(6001, "{} left the run; {} waited for an agreement",
                    describeRank(left[0], peers_[left[0]].identity),
                    rankList(waiting)));
  }

  bool hasLeft(unsigned rank) const {
    return rank == 0 ? leaving() : peers_[rank].left;
  }

  /// A collective that will never be complete, since a member has left without
  /// taking part.
  void checkCollectives(Clock::time_point now) {
    std::vector<Place> places(size());
    for (unsigned r = 0; r < size(); ++r)
      places[r] = r == 0 ? place(now) : peers_[r].place;
    for (unsigned r = 0; r < size(); ++r) {
      const Place &wait = places[r];
      if (wait.state != PlaceState::collective || hasLeft(r))
        continue;
      for (unsigned m = wait.firstMember;
           m <= std::min(wait.lastMember, size() - 1); ++m)
        if (hasLeft(m) && !places[m].hasDone(wait))
          return failRun(error(6001, "{} left the run; {}",
                               describeRank(m, peers_[m].identity),
                               describePlaces({r}, places)));
    }
  }

  // ---- verdicts

  /// Begins to find out who is to blame: for a lost rank, or for |asker|, whose
  /// deadline has passed. The others are asked where they are first.
  void judge(Clock::time_point now, std::optional<unsigned> asker) {
    if (failed() || verdictBegan_)
      return;
    verdictBegan_ = now;
    asker_ = asker;
    for (Peer &peer : peers_)
      peer.answered = false;
  }

  void checkSilence(Clock::time_point now) {
    for (unsigned r = 1; r < size(); ++r) {
      Peer &peer = peers_[r];
      if (!peer.connection || peer.left ||
          now - heardSince(peer.heard) < options_.silence)
        continue;
      silent_.insert(r);
      judge(now, std::nullopt);
    }
  }

  void checkVerdict(Clock::time_point now) {
    std::vector<Place> places(size());
    std::vector<unsigned> lost, rest;
    bool settled = true;
    for (unsigned r = 0; r < size(); ++r) {
      Peer &peer = peers_[r];
      places[r] = r == 0 ? place(now) : peer.place;
      if (peer.gone || silent_.contains(r)) {
        lost.push_back(r);
        continue;
      }
      rest.push_back(r);
      settled = settled && (r == 0 || peer.left || peer.answered) &&
                (asker_ || places[r].state != PlaceState::running);
      if (peer.connection)
        peer.connection->send(header(FrameType::where));
    }
    if (!settled && now - *verdictBegan_ < options_.settle)
      return;
    if (!lost.empty())
      return failRun(blameLost(now, lost, rest, places));
    failRun(blameLate(*asker_, places));
  }

  Status blameLost(Clock::time_point now, const std::vector<unsigned> &lost,
                   const std::vector<unsigned> &rest,
                   const std::vector<Place> &places) const {
    std::string text;
    for (unsigned r : lost) {
      text += (text.empty() ? "" : ", ") + describeRank(r, peers_[r].identity);
      if (peers_[r].gone)
        text += " is gone";
      else
        text += fmt::format(
            " does not answer since {:.1f} s",
            std::chrono::duration<double>(now - peers_[r].heard).count());
    }
    return error(6001, "{}; {}", text, describePlaces(rest, places));
  }

  Status blameLate(unsigned asker, const std::vector<Place> &places) const {
    const Place &wait = places[asker];
    std::vector<unsigned> late, all(size());
    for (unsigned r = 0; r < size(); ++r) {
      all[r] = r;
      const bool needed = wait.state != PlaceState::collective ||
                          (r >= wait.firstMember && r <= wait.lastMember);
      const bool there = wait.state == PlaceState::collective
                             ? places[r].state == PlaceState::collective &&
                                   places[r].sequence == wait.sequence &&
                                   places[r].step == wait.step
                             : peers_[r].complete;
      if (needed && !there)
        late.push_back(r);
    }
    const double seconds = std::chrono::duration<double>(wait.waited).count();
    const std::string where = wait.state == PlaceState::collective
                                  ? describeCollective(wait)
                                  : "an agreement";
    if (late.empty())
      return error(6007,
                   "all ranks are in {} for {:.1f} s, and it does not end",
                   where, seconds);
    std::string names;
    for (unsigned r : late)
      names +=
          (names.empty() ? "" : ", ") + describeRank(r, peers_[r].identity);
    return error(6001, "{} ha{} not reached {} after {:.1f} s; {}", names,
                 late.size() == 1 ? "s" : "ve", where, seconds,
                 describePlaces(all, places));
  }

  void onTick(Clock::time_point now, bool beat) override {
    for (unsigned r = 1; beat && r < size(); ++r)
      if (peers_[r].connection)
        peers_[r].connection->send(header(FrameType::heartbeat),
                                   bytesOf(place(now).record()));
    if (failed())
      return;
    if (!joined())
      return checkJoin(now);
    checkSilence(now);
    if (verdictBegan_)
      return checkVerdict(now);
    checkRound();
    if (beat)
      checkCollectives(now);
  }

  milliseconds nextTick() const override {
    return verdictBegan_ && !failed() ? kLook : options_.heartbeat;
  }

  // ---- what ControlPlane asks of a role

  void askWhoIsLate() override { judge(Clock::now(), 0); }

  void tellFailure(const Status &status) override {
    FrameHeader head = header(FrameType::failure);
    head.state = static_cast<uint16_t>(status.code());
    for (Peer &peer : peers_)
      if (peer.connection)
        peer.connection->send(head, textBytes(status.message()));
  }

  void sayBye() override {}
  bool mayGo() const override {
    for (unsigned r = 1; r < size(); ++r)
      if (peers_[r].connection)
        return false;
    return true;
  }

  Status whoStays() const override {
    std::string text;
    for (unsigned r = 1; r < size(); ++r)
      if (peers_[r].connection)
        text += fmt::format("{}{}, which {},", text.empty() ? "" : " ",
                            describeRank(r, peers_[r].identity),
                            describeActivity(peers_[r].place));
    return error(6001, "{} did not leave the run within {:.3g} s of rank 0",
                 text,
                 std::chrono::duration<double>(options_.leaveTimeout).count());
  }

  std::vector<Peer> peers_; ///< by rank; 0: this one
  Listener listener_;
  std::map<uint64_t, Guest> guests_;
  uint64_t nextGuest_ = kGuestTag;
  unsigned refused_ = 0;
  Clock::time_point deadline_;
  bool wroteFile_ = false;
  uint32_t round_ = 0; ///< exchanges complete

  std::optional<Clock::time_point> verdictBegan_;
  std::optional<unsigned> asker_; ///< none: a rank is lost
  std::set<unsigned> silent_;
};

} // namespace

std::unique_ptr<ControlPlane> createHub(GroupOptions options) {
  return std::make_unique<Hub>(std::move(options));
}

} // namespace hadal::comm
