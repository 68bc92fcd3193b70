#include "cost/EventModel.h"

#include <array>
#include <set>

namespace hadal::cost {

namespace {

constexpr unsigned kStreams = 2;
constexpr int kCode = 2004;

/// A stream's place in the program and what is left of its current command.
struct Stream {
  std::vector<size_t> commands; ///< indices, in order
  size_t next = 0;
  bool busy = false;
  double beginUs = 0;
  double kernelUs = 0; ///< left of a kernel
  std::array<double, 3>
      phaseUs{}; ///< left of a collective: start, transfer, end
  std::optional<unsigned> awaiting; ///< the event that it stands at
};

class Simulation {
public:
  Simulation(std::span<const Command> commands, const Machine &machine)
      : commands(commands), machine(machine) {}

  StatusOr<Timeline> run() {
    HADAL_RETURN_IF_ERROR(distribute());
    for (;;) {
      HADAL_RETURN_IF_ERROR(issue());
      if (!streams[0].busy && !streams[1].busy) {
        if (streams[0].awaiting || streams[1].awaiting)
          return error(kCode, "the streams wait for each other, at event {}",
                       streams[0].awaiting ? *streams[0].awaiting
                                           : *streams[1].awaiting);
        return std::move(result);
      }
      advance();
    }
  }

private:
  Status distribute() {
    std::string label;
    for (size_t i = 0; i < commands.size(); ++i) {
      const Command &command = commands[i];
      if (command.stream >= kStreams)
        return error(kCode, "command {} is on stream {}, there are {}", i,
                     command.stream, kStreams);
      streams[command.stream].commands.push_back(i);
      switch (command.kind) {
      case Command::Kind::launch:
        if (command.stream != 0)
          return error(kCode, "command {} launches a kernel on stream 1", i);
        break;
      case Command::Kind::collective:
        if (command.stream != 1)
          return error(kCode, "command {} is a collective on stream 0", i);
        label = command.collective.label;
        break;
      case Command::Kind::record:
        if (!labels.emplace(command.event, command.stream ? label : "").second)
          return error(kCode, "event {} is recorded twice", command.event);
        break;
      case Command::Kind::wait:
        break;
      }
    }
    for (const Command &command : commands)
      if (command.kind == Command::Kind::wait && !labels.count(command.event))
        return error(kCode,
                     "the program waits for event {}, which is not recorded",
                     command.event);
    return {};
  }

  /// Starts what can start now and takes no time.
  Status issue() {
    for (bool progress = true; progress;) {
      progress = false;
      for (Stream &stream : streams)
        progress |= step(stream);
    }
    return {};
  }

  /// Goes on by one command; false where the stream is busy, waits or has
  /// ended.
  bool step(Stream &stream) {
    stream.awaiting.reset();
    if (stream.busy || stream.next == stream.commands.size())
      return false;
    const Command &command = commands[stream.commands[stream.next]];
    switch (command.kind) {
    case Command::Kind::wait:
      if (!happened.count(command.event)) {
        stream.awaiting = command.event;
        return false;
      }
      break;
    case Command::Kind::record:
      happened.insert(command.event);
      break;
    case Command::Kind::launch:
      stream.busy = true;
      stream.beginUs = result.us;
      stream.kernelUs = command.us + machine.launchGapUs;
      return true;
    case Command::Kind::collective:
      stream.busy = true;
      stream.beginUs = result.us;
      stream.phaseUs = {command.collective.startUs,
                        command.collective.transferUs,
                        command.collective.endUs};
      return true;
    }
    ++stream.next;
    return true;
  }

  const Collective &current(const Stream &stream) const {
    return commands[stream.commands[stream.next]].collective;
  }

  /// Lets time pass until a kernel or a phase of a collective ends.
  void advance() {
    Stream &compute = streams[0], &links = streams[1];
    unsigned phase = 0;
    while (links.busy && phase < 2 && links.phaseUs[phase] <= 0)
      ++phase;
    const bool onMultiprocessors = links.busy && phase != 1;
    double rate = compute.busy ? 1 : 0;
    if (onMultiprocessors)
      rate = 0;
    else if (links.busy && current(links).holdsMultiprocessors)
      rate /= machine.contention;

    double us = links.busy ? links.phaseUs[phase] : compute.kernelUs / rate;
    const bool kernelEnds = rate > 0 && compute.kernelUs <= us * rate;
    if (kernelEnds)
      us = compute.kernelUs / rate;
    result.us += us;
    if (rate > 0)
      result.computeUs += us;
    if (onMultiprocessors)
      result.multiprocessorUs += us;
    else if (links.busy)
      result.linkUs += us;
    if (!compute.busy)
      expose(us);
    if (links.busy) {
      links.phaseUs[phase] -= us;
      // What is left of equal numbers is rounding.
      if (!kernelEnds || links.phaseUs[phase] < 1e-9)
        links.phaseUs[phase] = 0;
      if (links.phaseUs == std::array<double, 3>{})
        finish(links);
    }
    if (kernelEnds)
      finish(compute);
    else
      compute.kernelUs -= us * rate;
  }

  /// The stream of compute waits: for what it awaits, else for the end.
  void expose(double us) {
    result.exposedUs += us;
    const std::string label = streams[0].awaiting
                                  ? labels.at(*streams[0].awaiting)
                                  : current(streams[1]).label;
    result.exposedByLabel[label] += us;
  }

  void finish(Stream &stream) {
    stream.busy = false;
    result.spans.push_back(
        {stream.commands[stream.next], stream.beginUs, result.us});
    ++stream.next;
  }

  std::span<const Command> commands;
  const Machine &machine;
  std::array<Stream, kStreams> streams;
  /// The collective before each event's record.
  std::map<unsigned, std::string> labels;
  std::set<unsigned> happened;
  Timeline result;
};

} // namespace

Command Command::launch(double us) {
  Command command;
  command.us = us;
  return command;
}

Command Command::communicate(Collective collective) {
  Command command;
  command.kind = Kind::collective;
  command.stream = 1;
  command.collective = std::move(collective);
  return command;
}

Command Command::record(unsigned event, unsigned stream) {
  Command command;
  command.kind = Kind::record;
  command.stream = stream;
  command.event = event;
  return command;
}

Command Command::wait(unsigned event, unsigned stream) {
  Command command;
  command.kind = Kind::wait;
  command.stream = stream;
  command.event = event;
  return command;
}

std::string_view Timeline::bound() const {
  constexpr double kFull = 0.95;
  if (computeUs + multiprocessorUs >= kFull * us)
    return "SM";
  return linkUs + multiprocessorUs >= kFull * us ? "link" : "chain";
}

StatusOr<Timeline> simulate(std::span<const Command> commands,
                            const Machine &machine) {
  return Simulation(commands, machine).run();
}

} // namespace hadal::cost
