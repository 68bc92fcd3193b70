#include "tools/common/Ranks.h"

#include <thread>

#include "runtime/base/CpuCount.h"

namespace hadal::cli {

void RankFlags::add(CLI::App &app) {
  app.add_option("--ranks", ranks,
                 "ranks to run an artifact on that was compiled for several "
                 "(--tp, --dp); default: 1, or what mpirun or srun has started")
      ->check(CLI::Range(1u, 1024u));
  app.add_option("--placement", placement,
                 "a file of hadal-place: which experts each rank holds");
  app.add_option("--comm-policy", policy,
                 "when collectives take place: async, eager (when they start), "
                 "lazy (when they are awaited), random or random,SEED")
      ->capture_default_str();
  app.add_option("--overlap", overlap,
                 "two micro-batches, one computing while the other "
                 "communicates: auto (where the artifact has an entry for them "
                 "and every rank can halve its rows), off")
      ->check(CLI::IsMember({"auto", "off"}))
      ->capture_default_str();
  app.add_option("--comm-delay", delay,
                 "how long each takes at least: MICROSECONDS or "
                 "MICROSECONDS,GB/s");
  app.add_option("--comm-timeout", timeoutSeconds,
                 "seconds a rank waits for the others")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  app.add_flag("--check-collectives", checkCollectives,
               "prove what every collective has moved or summed, that "
               "placement tables are what was loaded and that the ranks of "
               "a tp group have equal logits: slow, to look for faults");
  process.add(app);
}

StatusOr<comm::StreamOptions> RankFlags::streamOptions() const {
  HADAL_ASSIGN_OR_RETURN(comm::StreamOptions options,
                         comm::parsePolicy(policy));
  options.timeout =
      std::chrono::milliseconds(static_cast<int64_t>(timeoutSeconds * 1e3));
  HADAL_RETURN_IF_ERROR(process.check());
  if (ranks.value_or(1) == 1 && !process.areProcesses() &&
      (!placement.empty() || !delay.empty() || checkCollectives))
    return error(5011, "--placement, --comm-delay and --check-collectives are "
                       "for several ranks; give --ranks");
  return options;
}

Status
runRanks(const RankFlags &flags, const LoadFlags &load,
         const std::function<Status(comm::Group *, const LoadFlags &)> &body) {
  ProcessFlags process = flags.process;
  HADAL_RETURN_IF_ERROR(process.resolve(flags.ranks.value_or(1), load));
  HADAL_RETURN_IF_ERROR(process.check());
  if (process.areProcesses()) {
    if (!flags.delay.empty())
      return error(5011, "--comm-delay is for ranks that are threads; give "
                         "--comm loopback");
    if (process.comm == "nccl" && flags.policy != "async")
      return error(5011, "--comm-policy is for collectives that the host runs; "
                         "NCCL's run when the device comes to them");
    HADAL_ASSIGN_OR_RETURN(comm::StreamOptions stream, flags.streamOptions());
    return runAsProcess(process, flags.ranks, stream.timeout, load, body);
  }
  const unsigned ranks = flags.ranks.value_or(1);
  if (ranks == 1)
    return body(nullptr, load);
  comm::LoopbackOptions options;
  if (!flags.delay.empty()) {
    HADAL_ASSIGN_OR_RETURN(options, comm::parseDelay(flags.delay));
  }
  LoadFlags shared = load;
  if (!shared.device.threads)
    shared.device.threads = std::max(1u, usableCpus() / ranks);
  const std::shared_ptr<comm::LoopbackWorld> world =
      comm::LoopbackWorld::create(ranks, options);
  std::vector<std::unique_ptr<comm::Group>> groups;
  for (unsigned r = 0; r < ranks; ++r)
    groups.push_back(world->join(r));
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < ranks; ++r)
    threads.emplace_back([&, group = std::move(groups[r])] {
      LoadFlags mine = shared;
      mine.quiet |= group->rank() != 0; // one of them speaks
      Status status =
          withoutExceptions([&] { return body(group.get(), mine); });
      if (!status.ok())
        group->fail(status);
    });
  for (std::thread &thread : threads)
    thread.join();
  const std::optional<comm::LoopbackWorld::Failure> failure =
      world->firstFailure();
  return failure ? failure->status : Status();
}

} // namespace hadal::cli
