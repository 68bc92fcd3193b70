#include "cost/Overlap.h"

#include <algorithm>

namespace hadal::cost {

namespace {

constexpr unsigned kBatches = 2;

/// Writes the commands of a body: events are numbered as they are needed.
class BodyBuilder {
public:
  explicit BodyBuilder(unsigned batches) : inFlight(batches) {}

  void start(unsigned batch, const Collective &collective) {
    const unsigned ready = events++, done = events++;
    commands.push_back(Command::record(ready, 0));
    commands.push_back(Command::wait(ready, 1));
    commands.push_back(Command::communicate(collective));
    commands.push_back(Command::record(done, 1));
    inFlight[batch][collective.label] = done;
  }

  void run(unsigned batch, const Stage &stage, bool startsItsCollective) {
    if (auto event = inFlight[batch].find(stage.awaits);
        event != inFlight[batch].end()) {
      commands.push_back(Command::wait(event->second, 0));
      inFlight[batch].erase(event);
    }
    const unsigned launches = std::max(stage.launches, 1u);
    if (stage.launches || stage.us > 0)
      for (unsigned i = 0; i < launches; ++i)
        commands.push_back(Command::launch(stage.us / launches));
    if (stage.starts && startsItsCollective)
      start(batch, *stage.starts);
  }

  std::vector<Command> finish() {
    std::vector<unsigned> left;
    for (const auto &batch : inFlight)
      for (const auto &[label, event] : batch)
        left.push_back(event);
    std::sort(left.begin(), left.end());
    for (unsigned event : left)
      commands.push_back(Command::wait(event, 0));
    return std::move(commands);
  }

private:
  std::vector<Command> commands;
  /// The events of the collectives that nobody has awaited yet, by label.
  std::vector<std::map<std::string, unsigned>> inFlight;
  unsigned events = 0;
};

} // namespace

Status checkChain(const Chain &chain) {
  std::map<std::string, int> awaited;
  for (const Stage &stage : chain)
    if (!stage.awaits.empty())
      ++awaited[stage.awaits];
  std::map<std::string, int> started;
  for (const Stage &stage : chain)
    if (stage.starts)
      ++started[stage.starts->label];
  for (const auto &[label, count] : started)
    if (count != 1 || awaited[label] != 1)
      return error(
          2004,
          "collective '{}' is started {} times and awaited {} times in "
          "a layer, expected once each",
          label, count, awaited[label]);
  for (const auto &[label, count] : awaited)
    if (!started.count(label))
      return error(2004, "a stage awaits '{}', which none starts", label);
  return {};
}

StatusOr<Timeline> runPlain(const Chain &chain, const Machine &machine) {
  HADAL_RETURN_IF_ERROR(checkChain(chain));
  // Cut behind the stage whose collective would cross the layers' border: from
  // each possible first stage nothing but the order of waits differs, and the
  // best is where each collective is awaited in its own layer.
  std::optional<Timeline> best;
  for (size_t first = 0; first < chain.size(); ++first) {
    BodyBuilder body(1);
    for (size_t i = 0; i < chain.size(); ++i)
      body.run(0, chain[(first + i) % chain.size()], true);
    const std::vector<Command> commands = body.finish();
    HADAL_ASSIGN_OR_RETURN(Timeline timeline, simulate(commands, machine));
    if (!best || timeline.us < best->us)
      best = std::move(timeline);
  }
  return best ? std::move(*best) : Timeline();
}

std::string Interleaving::toString(const Chain &chain) const {
  const size_t size = chain.size();
  std::string text = fmt::format("lag {}:", lag);
  size_t next[kBatches] = {0, size - lag};
  for (unsigned batch : order)
    text += fmt::format(" {}.{}", chain[next[batch]++ % size].name, batch);
  return text;
}

std::vector<Command> bodyOf(const Chain &half,
                            const Interleaving &interleaving) {
  const size_t size = half.size();
  const size_t first[kBatches] = {0, size - interleaving.lag};
  auto stageOf = [&](unsigned batch, size_t i) -> const Stage & {
    return half[(first[batch] + i) % size];
  };
  BodyBuilder body(kBatches);
  for (unsigned batch = 0; batch < kBatches; ++batch)
    if (const Stage &last = stageOf(batch, size - 1); last.starts)
      body.start(batch, *last.starts);
  size_t done[kBatches] = {0, 0};
  for (unsigned batch : interleaving.order) {
    const size_t i = done[batch]++;
    body.run(batch, stageOf(batch, i), i + 1 < size);
  }
  return body.finish();
}

StatusOr<OverlapPlan> searchOverlap(const Chain &half, const Machine &machine) {
  HADAL_RETURN_IF_ERROR(checkChain(half));
  const auto size = static_cast<unsigned>(half.size());
  std::optional<OverlapPlan> best;
  for (unsigned lag = 0; lag < size; ++lag) {
    Interleaving interleaving{lag, std::vector<unsigned>(kBatches * size, 0)};
    std::fill(interleaving.order.begin() + size, interleaving.order.end(), 1);
    do {
      const std::vector<Command> commands = bodyOf(half, interleaving);
      HADAL_ASSIGN_OR_RETURN(Timeline timeline, simulate(commands, machine));
      // Rounding makes no order better than another.
      if (!best || timeline.us < best->timeline.us * (1 - 1e-9))
        best = OverlapPlan{interleaving, std::move(timeline)};
    } while (std::next_permutation(interleaving.order.begin(),
                                   interleaving.order.end()));
  }
  if (!best)
    return error(2004, "a layer without stages cannot be overlapped");
  return std::move(*best);
}

StatusOr<OverlapDecision> decideOverlap(const std::string &name,
                                        const Chain &whole, const Chain &half,
                                        const Machine &machine, bool fits,
                                        OverlapMode mode) {
  OverlapDecision decision;
  HADAL_ASSIGN_OR_RETURN(Timeline before, runPlain(whole, machine));
  HADAL_ASSIGN_OR_RETURN(decision.plan, searchOverlap(half, machine));
  const Timeline &after = decision.plan.timeline;
  decision.beforeUs = before.us;
  decision.afterUs = after.us;
  decision.exposedBeforeUs = before.exposedUs;
  decision.exposedAfterUs = after.exposedUs;
  decision.exposedBefore = before.exposedByLabel;
  decision.exposedAfter = after.exposedByLabel;
  const bool pays = after.us <= before.us * (1 - kLeastGain);
  decision.kept = mode == OverlapMode::on ||
                  (mode == OverlapMode::automatic && pays && fits);
  decision.forced = mode == OverlapMode::on && !(pays && fits);
  std::string why;
  if (mode == OverlapMode::on)
    why = decision.forced ? "kept as asked for, though " : "kept";
  else if (mode == OverlapMode::off)
    why = "refused as asked for";
  else
    why = decision.kept ? "kept" : "refused: ";
  decision.reason = !pays   ? fmt::format("the time does not fall by {:.0f} %",
                                          kLeastGain * 100)
                    : !fits ? std::string("their memory does not fit")
                            : std::string("it pays");
  if (decision.forced || (mode == OverlapMode::automatic && !decision.kept))
    why += decision.reason;
  decision.text = fmt::format(
      "{}: two micro-batches: {:.0f} -> {:.0f} us a layer, exposed {:.0f} -> "
      "{:.0f} us: {}",
      name, decision.beforeUs, decision.afterUs, decision.exposedBeforeUs,
      decision.exposedAfterUs, why);
  return decision;
}

} // namespace hadal::cost
