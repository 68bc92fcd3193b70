// What a runner does beside others: communicators, calls that are made together
// and again, the end of a run.
#include <algorithm>
#include <cstring>

#include "runtime/comm/CheckedCommunicator.h"
#include "runtime/comm/Gather.h"
#include "runtime/session/BatchRunner.h"

namespace hadal {

namespace {

constexpr std::string_view kOverflow = "comm.overflow";
constexpr std::string_view kLoad = "expert_load.";

bool isLoad(const schema::State &state) {
  return state.name()->string_view().starts_with(kLoad);
}

} // namespace

BatchRunner::~BatchRunner() {
  // A collective may still be under way where a call has failed.
  if (!failure_.ok())
    for (const auto &communicator : communicators_)
      communicator->abort();
  // A graph that holds collectives ends before their communicator.
  entries_.clear();
}

Status BatchRunner::createEndpoint() {
  comm::Group *group = model_.group();
  if (!group)
    return {};
  lockStep_.emplace(*group, model_.layout(), options_.collectives.timeout);
  HADAL_RETURN_IF_ERROR(model_.driver().enter());
  if (const auto *list = model_.artifact().root().communicators())
    for (const schema::Communicator *c : *list) {
      const std::vector<unsigned> members = model_.layout().members(c->axis());
      HADAL_ASSIGN_OR_RETURN(std::unique_ptr<comm::Communicator> communicator,
                             group->create(c->name()->string_view(), members));
      if (options_.checkCollectives &&
          !communicator->capabilities().hostOrdered)
        return error(6005,
                     "--check-collectives looks at what the host moves, and "
                     "communicator '{}' moves a device's memory; leave it out, "
                     "or use --device sim",
                     communicator->name());
      communicators_.push_back(std::move(communicator));
      if (options_.checkCollectives)
        communicators_.push_back(
            comm::createChecked(*communicators_.back(), members));
      endpoint_.communicators.push_back(communicators_.back().get());
    }
  endpoint_.timeout = options_.collectives.timeout;
  stream_ = comm::createQueueStream(options_.collectives);
  endpoint_.stream = stream_.get();
  return {};
}

Status BatchRunner::leave(Status status) {
  if (lockStep_ && !status.ok() && failure_.ok()) {
    failure_ = status;
    lockStep_->fail(status);
  }
  return status;
}

Status BatchRunner::quit(Status status) {
  if (lockStep_ && !status.ok() && failure_.ok()) {
    failure_ = status;
    model_.group()->fail(status);
  }
  return status;
}

StatusOr<std::optional<StepDemand>>
BatchRunner::agreeOnCall(const StepDemand &mine, bool finished, uint64_t hash) {
  StatusOr<std::optional<StepDemand>> agreed =
      lockStep_->agreeOnCall(mine, finished, 31 * hash + logitsHash_);
  if (!agreed.ok())
    failure_ = agreed.status();
  return agreed;
}

Status BatchRunner::runPrepared(unsigned index) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin =
      options_.onRun ? Clock::now() : Clock::time_point();
  Status status = entries_[index]->run();
  if (options_.onRun && status.ok())
    options_.onRun({index, begin, Clock::now(), entries_[index]->timeline()});
  return quit(status);
}

StatusOr<ExchangeDemand> BatchRunner::readDemand() {
  const auto &states = *model_.artifact().root().states();
  ExchangeDemand most;
  for (unsigned i = 0; i < states.size(); ++i) {
    if (states.Get(i)->name()->string_view() != kOverflow)
      continue;
    // Rows and pairs for each rank.
    std::vector<ExchangeDemand> wanted(states_[i].bytes() /
                                       sizeof(ExchangeDemand));
    HADAL_RETURN_IF_ERROR(model_.driver().read(
        wanted.data(), states_[i].address(), states_[i].bytes()));
    for (const ExchangeDemand &demand : wanted)
      most.raise(demand);
  }
  return most;
}

StatusOr<ExchangeDemand> BatchRunner::takeDemand() {
  const auto &states = *model_.artifact().root().states();
  HADAL_ASSIGN_OR_RETURN(const ExchangeDemand most, readDemand());
  for (unsigned i = 0; i < states.size(); ++i) {
    if (states.Get(i)->name()->string_view() != kOverflow)
      continue;
    const std::vector<uint8_t> zeros(states_[i].bytes());
    HADAL_RETURN_IF_ERROR(model_.driver().write(
        states_[i].address(), zeros.data(), states_[i].bytes()));
  }
  return most;
}

Status BatchRunner::checkTables() {
  const auto &parameters = *model_.artifact().root().parameters();
  for (unsigned i = 0; i < parameters.size(); ++i) {
    const schema::Parameter &p = *parameters.Get(i);
    if (p.generator() != schema::Generator::placement_table)
      continue;
    const std::vector<int32_t> loaded = model_.placement().table(
        static_cast<uint32_t>(p.layer()), p.replicas());
    std::vector<int32_t> found(loaded.size());
    HADAL_RETURN_IF_ERROR(model_.driver().read(
        found.data(), model_.parameters()[i], found.size() * sizeof(int32_t)));
    const auto wrong =
        std::mismatch(loaded.begin(), loaded.end(), found.begin());
    if (wrong.first == loaded.end())
      continue;
    const auto at = static_cast<size_t>(wrong.first - loaded.begin());
    return error(6006,
                 "rank {}: the placement table of layer {} is not the one that "
                 "was loaded: {} is {} for expert {}, expected {}",
                 model_.layout().rank, p.layer(),
                 at % (1 + p.replicas()) ? "a slot" : "the number of replicas",
                 *wrong.second, at / (1 + p.replicas()), *wrong.first);
  }
  return {};
}

Status BatchRunner::saveExpertLoad() {
  const auto &states = *model_.artifact().root().states();
  savedLoad_.clear();
  for (unsigned i = 0; i < states.size(); ++i) {
    if (!isLoad(*states.Get(i)))
      continue;
    const size_t at = savedLoad_.size();
    savedLoad_.resize(at + states_[i].bytes());
    HADAL_RETURN_IF_ERROR(model_.driver().read(
        savedLoad_.data() + at, states_[i].address(), states_[i].bytes()));
  }
  return {};
}

Status BatchRunner::restoreExpertLoad() {
  const auto &states = *model_.artifact().root().states();
  size_t at = 0;
  for (unsigned i = 0; i < states.size(); ++i) {
    if (!isLoad(*states.Get(i)))
      continue;
    HADAL_RETURN_IF_ERROR(model_.driver().write(
        states_[i].address(), savedLoad_.data() + at, states_[i].bytes()));
    at += states_[i].bytes();
  }
  return {};
}

Status BatchRunner::runEntry(const Body &body) {
  if (!lockStep_)
    return runPrepared(body.index);
  const auto &entries = *model_.artifact().root().entries();
  model_.group()->report(
      {.step = lockStep_->steps(),
       .sequence = 0,
       .entry = entries.Get(body.index)->name()->string_view(),
       .label = {}});
  if (options_.checkCollectives)
    HADAL_RETURN_IF_ERROR(quit(checkTables()));
  if (!body.worst) {
    demandOf_.reset();
    return runPrepared(body.index);
  }
  // Layers behind the one that overflows route what is wrong: the loads that
  // they count must go.
  HADAL_RETURN_IF_ERROR(quit(saveExpertLoad()));
  // Of other entries' calls, which have other capacities.
  if (demandOf_ != body.index)
    HADAL_RETURN_IF_ERROR(quit(takeDemand().status()));
  demandOf_ = body.index;
  HADAL_RETURN_IF_ERROR(runPrepared(body.index));
  counters_.expectedCalls += 1;
  HADAL_ASSIGN_OR_RETURN(const ExchangeDemand mine, readDemand());
  StatusOr<ExchangeDemand> wanted = lockStep_->agreeOnOverflow(mine);
  if (!wanted.ok())
    return failure_ = wanted.status();
  auto holds = [&](unsigned index, const ExchangeDemand &demand) {
    return demand.rows <= entries.Get(index)->capacity_rows() &&
           demand.pairs <= entries.Get(index)->capacity_pairs();
  };
  if (holds(body.index, *wanted))
    return {};
  counters_.replayedCalls += 1;
  HADAL_RETURN_IF_ERROR(quit(restoreExpertLoad()));
  HADAL_RETURN_IF_ERROR(quit(takeDemand().status()));
  HADAL_RETURN_IF_ERROR(runPrepared(*body.worst));
  // What there really was: behind the layer that overflowed, the first run
  // routed what was wrong.
  HADAL_ASSIGN_OR_RETURN(const ExchangeDemand again, takeDemand());
  if (!holds(*body.worst, again))
    return error(
        5014,
        "entry '{}' has overflowed by {} rows and {} pairs for a rank; "
        "it was compiled to hold everything",
        entries.Get(*body.worst)->name()->string_view(), again.rows,
        again.pairs);
  counters_.replayedDemand.raise(again);
  return {};
}

StatusOr<std::vector<BatchRunner::ExpertLoad>> BatchRunner::expertLoad() const {
  std::vector<ExpertLoad> loads;
  std::vector<uint8_t> all;
  const auto &states = *model_.artifact().root().states();
  for (unsigned i = 0; i < states.size(); ++i) {
    if (!isLoad(*states.Get(i)))
      continue;
    std::vector<int32_t> counts(states_[i].bytes() / sizeof(int32_t));
    HADAL_RETURN_IF_ERROR(model_.driver().read(
        counts.data(), states_[i].address(), states_[i].bytes()));
    loads.push_back(
        {std::string(states.Get(i)->name()->string_view().substr(kLoad.size())),
         std::vector<uint64_t>(counts.begin(), counts.end())});
    const auto *bytes =
        reinterpret_cast<const uint8_t *>(loads.back().tokens.data());
    all.insert(all.end(), bytes, bytes + counts.size() * sizeof(uint64_t));
  }
  if (!lockStep_)
    return loads;
  HADAL_ASSIGN_OR_RETURN(
      std::vector<std::vector<uint8_t>> ranks,
      comm::gather(*model_.group(), all, options_.collectives.timeout));
  for (unsigned r = 0; r < ranks.size(); ++r) {
    if (ranks[r].size() != all.size())
      return error(6006, "rank {} sent {} bytes of expert loads, expected {}",
                   r, ranks[r].size(), all.size());
    size_t at = 0;
    for (ExpertLoad &load : loads)
      for (uint64_t &tokens : load.tokens) {
        uint64_t theirs;
        std::memcpy(&theirs, ranks[r].data() + at, sizeof(theirs));
        at += sizeof(theirs);
        tokens = r ? tokens + theirs : theirs;
      }
  }
  return loads;
}

} // namespace hadal
