// Any rank but 0 of the control plane: meets rank 0 and hears from it.
#include <fstream>

#include <sys/epoll.h>

#include "runtime/comm/Printable.h"
#include "runtime/comm/control/ControlPlane.h"

namespace hadal::comm {

namespace {

using std::chrono::milliseconds;

constexpr uint64_t kHubTag = 1;
constexpr milliseconds kFirstPause{10}, kLongestPause{200};
/// Rank 0 answers at its deadline; how much later we stop to wait for it.
constexpr std::chrono::seconds kAfterDeadline{1};

class Spoke final : public ControlPlane {
public:
  explicit Spoke(GroupOptions options) : ControlPlane(std::move(options)) {}
  ~Spoke() override { stop(); }

private:
  // ---- joining

  /// Where rank 0 is; of a file that is not there yet, why not.
  StatusOr<Rendezvous> meetingPlace() const {
    const Rendezvous &meet = options_.rendezvous;
    if (meet.file.empty())
      return meet;
    std::ifstream file(meet.file);
    std::string line;
    if (!std::getline(file, line))
      return error(6002, "rank 0 has not written the file");
    return Rendezvous::parse(line);
  }

  StatusOr<Descriptor> tryConnect() const {
    HADAL_ASSIGN_OR_RETURN(Rendezvous meet, meetingPlace());
    return connectTo(meet.host, meet.port,
                     static_cast<int>(kLongestPause.count()), deadline_);
  }

  Status open(Clock::time_point deadline) override {
    deadline_ = deadline;
    for (milliseconds pause = kFirstPause;;
         pause = std::min(2 * pause, kLongestPause)) {
      auto socket = tryConnect();
      if (socket.ok()) {
        hub_.emplace(std::move(*socket));
        watch(hub_->fd(), kHubTag);
        return {};
      }
      if (options_.interrupt && *options_.interrupt)
        return error(5016, "interrupted; rank {} waited for rank 0", rank());
      if (Clock::now() + pause > deadline)
        return error(
            6002,
            "rank {} does not reach rank 0 at {} within {:.3g} s: {}; "
            "start rank 0, and check --rendezvous and the network",
            rank(), options_.rendezvous.text(),
            std::chrono::duration<double>(options_.joinTimeout).count(),
            socket.status().message());
      std::this_thread::sleep_for(pause);
    }
  }

  void greet(const Frame &frame) {
    auto nonce = randomNonce();
    if (!nonce.ok())
      return failAlone(nonce.status());
    hubNonce_ = frame.as<Challenge>().nonce;
    nonce_ = *nonce;
    hub_->send(header(FrameType::hello),
               bytesOf(Hello{nonce_,
                             prove(Side::spoke, options_.token, hubNonce_,
                                   nonce_, rank(), size(), identity_),
                             identity_}));
    stage_ = Stage::greeted;
  }

  void takeWelcome(const Frame &frame) {
    const Welcome welcome = frame.as<Welcome>();
    if (!equal(welcome.proof, prove(Side::hub, options_.token, hubNonce_,
                                    nonce_, rank(), size(), welcome.identity)))
      return failAlone(
          error(6002,
                "rank {}: who listens at {} does not know the token "
                "(HADAL_JOB_TOKEN) of this run; give all ranks the same",
                rank(), options_.rendezvous.text()));
    hubIdentity_ = welcome.identity;
    stage_ = Stage::welcome;
  }

  /// Rank 0 need not hear of it, or has said it itself.
  void failAlone(const Status &status) { failRun(status, Status()); }

  Status statusOf(const Frame &frame, int otherwise) const {
    const int code =
        errorSentence(frame.header.state) ? frame.header.state : otherwise;
    return Status(code, printable(frame.text()));
  }

  // ---- events

  void onEvent(uint64_t, uint32_t events, Clock::time_point now) override {
    if (!hub_)
      return;
    if (events & EPOLLOUT)
      hub_->flush();
    bool open = hub_->receive();
    while (true) {
      auto frame = hub_->reader().next();
      if (!frame.ok()) {
        failRun(error(frame.status().code(), "rank 0 at {}: {}",
                      options_.rendezvous.text(), frame.status().message()));
        open = false;
        break;
      }
      if (!*frame)
        break;
      heard_ = now;
      onFrame(**frame);
    }
    if (open) {
      watch(hub_->fd(), kHubTag, hub_->pending());
      return;
    }
    hub_.reset();
    if (!echoed_ && !failed())
      lost_ = lost_ ? lost_ : now;
  }

  void onFrame(const Frame &frame) {
    const FrameType type = frame.type();
    if (type == FrameType::refusal) {
      const Status status = statusOf(frame, 6002);
      return failAlone(error(status.code(), "rank 0 at {} refused rank {}: {}",
                             options_.rendezvous.text(), rank(),
                             status.message()));
    }
    if (type == FrameType::challenge && stage_ == Stage::connected)
      return greet(frame);
    if (type == FrameType::welcome && stage_ == Stage::greeted)
      return takeWelcome(frame);
    // Nothing else counts before rank 0 has proved the token.
    if (stage_ < Stage::welcome)
      return failAlone(outOfPlace(0, frame));
    switch (type) {
    case FrameType::start:
      stage_ = Stage::started;
      return setJoined();
    case FrameType::heartbeat:
      return;
    case FrameType::where:
      return sendPlace();
    case FrameType::result:
      return takeResult(frame);
    case FrameType::failure:
      echoed_ = true;
      return failAlone(statusOf(frame, 6001));
    case FrameType::bye:
      echoed_ = true;
      return;
    default:
      return failRun(outOfPlace(0, frame));
    }
  }

  void takeResult(const Frame &frame) {
    if (frame.header.sequence != exchanges_ ||
        chunks_.size() + frame.payload.size() >
            size() * (kMaxBlob + sizeof(uint32_t)))
      return failRun(outOfPlace(0, frame));
    chunks_.insert(chunks_.end(), frame.payload.begin(), frame.payload.end());
    if (frame.header.state)
      return;
    Blobs blobs;
    std::span<const uint8_t> rest = chunks_;
    for (uint32_t length; rest.size() >= sizeof(length);) {
      std::memcpy(&length, rest.data(), sizeof(length));
      rest = rest.subspan(sizeof(length));
      if (length > rest.size())
        break;
      blobs.emplace_back(rest.begin(), rest.begin() + length);
      rest = rest.subspan(length);
    }
    if (!rest.empty() || blobs.size() != size())
      return failRun(outOfPlace(0, frame));
    chunks_.clear();
    deliver(std::move(blobs));
  }

  void sendPlace() {
    if (hub_)
      hub_->send(header(FrameType::heartbeat),
                 bytesOf(place(Clock::now()).record()));
  }

  void onTick(Clock::time_point now, bool beat) override {
    if (beat && stage_ >= Stage::welcome)
      sendPlace();
    if (failed() || echoed_)
      return;
    if (!joined())
      return checkJoin(now);
    std::string what = "is gone";
    if (!lost_ && now - heardSince(heard_) >= options_.silence) {
      silent_ = true;
      lost_ = now;
    }
    if (silent_)
      what = fmt::format("does not answer since {:.1f} s",
                         std::chrono::duration<double>(now - heard_).count());
    const Place mine = place(now);
    if (lost_ &&
        (mine.state != PlaceState::running || now - *lost_ >= options_.settle))
      failRun(error(6001, "{} {}; rank {} {}", describeRank(0, hubIdentity_),
                    what, rank(), describeActivity(mine)));
  }

  void checkJoin(Clock::time_point now) {
    if (lost_)
      failAlone(error(6002,
                      "rank {}: rank 0 at {} ended before all ranks had "
                      "joined",
                      rank(), options_.rendezvous.text()));
    else if (now > deadline_ + kAfterDeadline)
      failAlone(error(
          6002, "rank {}: rank 0 at {} did not start the run within {:.3g} s",
          rank(), options_.rendezvous.text(),
          std::chrono::duration<double>(options_.joinTimeout).count()));
  }

  milliseconds nextTick() const override {
    return lost_ && !failed() ? kFirstPause : options_.heartbeat;
  }

  // ---- what ControlPlane asks of a role

  void contribute(std::span<const uint8_t> mine) override {
    if (!hub_)
      return;
    sendChunks(*hub_, FrameType::contribution, mine);
    if (hub_->pending())
      watch(hub_->fd(), kHubTag, true);
  }

  void askWhoIsLate() override {
    if (!hub_)
      return;
    sendPlace();
    hub_->send(header(FrameType::late));
  }

  void tellFailure(const Status &status) override {
    if (!hub_ || stage_ < Stage::welcome)
      return;
    FrameHeader head = header(FrameType::failure);
    head.state = static_cast<uint16_t>(status.code());
    const std::string_view text =
        std::string_view(status.message()).substr(0, kMaxText);
    hub_->send(head,
               {reinterpret_cast<const uint8_t *>(text.data()), text.size()});
  }

  void sayBye() override {
    sendPlace();
    if (hub_)
      hub_->send(header(FrameType::bye));
  }
  bool mayGo() const override { return !hub_ || echoed_; }

  Status whoStays() const override {
    return error(6001, "{} does not let rank {} go",
                 describeRank(0, hubIdentity_), rank());
  }

  enum class Stage { connected, greeted, welcome, started };

  std::optional<Connection> hub_;
  Stage stage_ = Stage::connected;
  Identity hubIdentity_;
  Nonce hubNonce_ = {}, nonce_ = {};
  Clock::time_point deadline_;
  Clock::time_point heard_ = Clock::now();
  std::vector<uint8_t> chunks_; ///< of the result under way
  /// Since when rank 0 is known to be lost.
  std::optional<Clock::time_point> lost_;
  bool silent_ = false;
  /// Rank 0 has taken our last word, or spoken its own.
  bool echoed_ = false;
};

} // namespace

std::unique_ptr<ControlPlane> createSpoke(GroupOptions options) {
  return std::make_unique<Spoke>(std::move(options));
}

} // namespace hadal::comm
