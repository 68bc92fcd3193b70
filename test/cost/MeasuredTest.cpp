// What the event model predicts beside what four ranks do: kernels are sleeps,
// collectives loopback's with a delay, which takes no processor either.
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "cost/Overlap.h"
#include "runtime/comm/QueueStream.h"
#include "runtime/comm/loopback/Loopback.h"

using namespace hadal;
using namespace hadal::cost;

namespace {

constexpr unsigned kRanks = 4, kLayers = 5;
using Clock = std::chrono::steady_clock;

double usSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin)
      .count();
}

struct Measured {
  double us = 0, exposedUs = 0;
};

/// One rank: runs |layer| kLayers times as a driver of the host does. Kernels
/// on its own thread; a collective is enqueued when all before it is done; a
/// wait of stream 0 waits for the collective before its event's record.
class Rank {
public:
  Rank(comm::Group &group, std::span<const Command> layer)
      : layer(layer), stream(comm::createQueueStream()) {
    const std::vector<unsigned> all = {0, 1, 2, 3};
    auto created = group.create("all", all);
    EXPECT_TRUE(created.ok()) << created.status().toString();
    communicator = std::move(*created);
    // All are there before the clock starts.
    EXPECT_TRUE(
        communicator->run(operation(0), Clock::now() + std::chrono::seconds(30))
            .ok());
  }

  Measured run() {
    Measured measured;
    const auto begin = Clock::now();
    for (unsigned i = 0; i < kLayers; ++i)
      runLayer(measured);
    measured.us = usSince(begin);
    return measured;
  }

private:
  void runLayer(Measured &measured) {
    std::map<unsigned, uint64_t> tickets; ///< by event
    uint64_t last = 0;
    for (const Command &command : layer)
      switch (command.kind) {
      case Command::Kind::launch:
        std::this_thread::sleep_for(
            std::chrono::duration<double, std::micro>(command.us));
        break;
      case Command::Kind::collective:
        last = stream->enqueue(*communicator, operation(++sequence));
        break;
      case Command::Kind::record:
        if (command.stream == 1)
          tickets[command.event] = last;
        break;
      case Command::Kind::wait:
        if (command.stream == 1)
          break;
        const auto begin = Clock::now();
        EXPECT_TRUE(stream->wait(tickets.at(command.event)).ok());
        measured.exposedUs += usSince(begin);
        break;
      }
  }

  comm::Operation operation(uint64_t number) {
    comm::Operation operation;
    operation.parts.resize(1);
    comm::Part &part = operation.parts[0];
    part.send = reinterpret_cast<comm::Address>(sent.data());
    part.receive = reinterpret_cast<comm::Address>(received.data());
    part.rows = 1;
    part.rowBytes = 64;
    operation.sequence = number;
    operation.label = "exchange";
    return operation;
  }

  std::span<const Command> layer;
  std::unique_ptr<comm::CommStream> stream;
  std::unique_ptr<comm::Communicator> communicator;
  std::array<uint8_t, 64 * kRanks> sent{}, received{};
  uint64_t sequence = 0;
};

/// The slowest rank's step.
Measured measure(std::span<const Command> layer, double delayUs) {
  auto world = comm::LoopbackWorld::create(kRanks, {delayUs, 0});
  std::array<Measured, kRanks> all;
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < kRanks; ++r)
    threads.emplace_back([&, r] {
      auto group = world->join(r);
      all[r] = Rank(*group, layer).run();
    });
  for (std::thread &thread : threads)
    thread.join();
  return *std::max_element(
      all.begin(), all.end(),
      [](const Measured &a, const Measured &b) { return a.us < b.us; });
}

/// What this machine adds to each kernel and to each collective: the time that
/// it takes to wake a thread, mostly. Parameters of the model, as a cluster's
/// are.
struct Overhead {
  double launchUs = 0, collectiveUs = 0;
};

Overhead overhead() {
  constexpr double kSleepUs = 1000;
  const Command sleep = Command::launch(kSleepUs);
  const std::vector<Command> kernel = {sleep};
  const std::vector<Command> exchange = {sleep,
                                         Command::record(0, 0),
                                         Command::wait(0, 1),
                                         Command::communicate({}),
                                         Command::record(1, 1),
                                         Command::wait(1, 0)};
  Overhead least{1e9, 1e9};
  for (unsigned i = 0; i < 3; ++i) {
    least.launchUs =
        std::min(least.launchUs, measure(kernel, 0).us / kLayers - kSleepUs);
    least.collectiveUs =
        std::min(least.collectiveUs, measure(exchange, 0).exposedUs / kLayers);
  }
  return least;
}

/// V3's decode layer in its proportions, 12 ms for one of two micro-batches.
Chain chainOf(double scale, double delayUs) {
  const Collective exchange{"", 0, delayUs, 0, false};
  auto labelled = [&](const char *label) {
    Collective collective = exchange;
    collective.label = label;
    return collective;
  };
  return {{"shared", 1000 * scale, 1, "", std::nullopt},
          {"experts", 3500 * scale, 1, "dispatch", labelled("return")},
          {"combine", 500 * scale, 1, "return", std::nullopt},
          {"project", 2000 * scale, 1, "", std::nullopt},
          {"attend", 5000 * scale, 1, "", labelled("dispatch")}};
}

/// One micro-batch: dispatch beside the shared expert.
std::vector<Command> plainLayer(const Chain &chain) {
  std::vector<Command> commands;
  auto start = [&](unsigned event, const Collective &collective) {
    commands.push_back(Command::record(event, 0));
    commands.push_back(Command::wait(event, 1));
    commands.push_back(Command::communicate(collective));
    commands.push_back(Command::record(event + 1, 1));
  };
  auto launch = [&](unsigned stage) {
    commands.push_back(Command::launch(chain[stage].us));
  };
  launch(3);
  launch(4);
  start(0, *chain[4].starts);
  launch(0);
  commands.push_back(Command::wait(1, 0));
  launch(1);
  start(2, *chain[1].starts);
  commands.push_back(Command::wait(3, 0));
  launch(2);
  return commands;
}

/// Step within 10 %, exposed time within 15 % (or 3 % of the step, where little
/// is exposed); as other processes can only add, of some tries the shortest.
void expectAsPredicted(const std::string &name, std::vector<Command> layer,
                       double delayUs, const Overhead &overhead) {
  for (Command &command : layer)
    if (command.kind == Command::Kind::collective)
      command.collective.transferUs += overhead.collectiveUs;
  StatusOr<Timeline> one = simulate(layer, {overhead.launchUs, 1});
  ASSERT_TRUE(one.ok()) << one.status().toString();
  const double us = kLayers * one->us, exposedUs = kLayers * one->exposedUs;
  Measured best;
  auto good = [&] {
    return std::abs(best.us - us) <= 0.1 * us &&
           std::abs(best.exposedUs - exposedUs) <=
               std::max(0.15 * exposedUs, 0.03 * us);
  };
  unsigned tries = 0;
  do {
    const Measured measured = measure(layer, delayUs);
    if (tries == 0 || measured.us < best.us)
      best = measured;
  } while (!good() && ++tries < 6);
  fmt::print("{:30} step predicted {:6.1f} measured {:6.1f} ms, exposed "
             "predicted {:5.1f} measured {:5.1f} ms\n",
             name, us / 1e3, best.us / 1e3, exposedUs / 1e3,
             best.exposedUs / 1e3);
  EXPECT_TRUE(good()) << name;
}

} // namespace

TEST(Measured, FourRanksTakeWhatTheModelSays) {
  const Overhead machine = overhead();
  fmt::print(
      "this machine adds {:.0f} us to a sleep, {:.0f} us to a collective\n",
      machine.launchUs, machine.collectiveUs);
  for (double delayMs : {1., 5., 10., 20.}) {
    const double delayUs = delayMs * 1e3;
    const Chain whole = chainOf(2, delayUs), half = chainOf(1, delayUs);
    expectAsPredicted(fmt::format("{:.0f} ms, one micro-batch", delayMs),
                      plainLayer(whole), delayUs, machine);
    StatusOr<OverlapPlan> plan = searchOverlap(half, {});
    ASSERT_TRUE(plan.ok());
    expectAsPredicted(fmt::format("{:.0f} ms, two micro-batches", delayMs),
                      bodyOf(half, plan->interleaving), delayUs, machine);
  }
}
