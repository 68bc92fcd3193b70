#include "tools/hadal-bench/CandidateTimer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <unistd.h>

namespace hadal::bench {

uint64_t coldBytesOfHost() {
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? 4 * static_cast<uint64_t>(bytes) : uint64_t{256} << 20;
}

StatusOr<std::unique_ptr<CandidateTimer>>
CandidateTimer::create(Driver &driver, const Artifact &artifact,
                       Executable &executable, std::vector<Arm> arms,
                       uint64_t seed, const TimerOptions &options) {
  std::unique_ptr<CandidateTimer> timer(new CandidateTimer(
      driver, artifact, executable, std::move(arms), options));
  HADAL_RETURN_IF_ERROR(timer->renew(seed));
  // The first runs touch what was never touched: pages, code.
  double least = INFINITY;
  for (unsigned i = 0; i < 4; ++i) {
    HADAL_ASSIGN_OR_RETURN(double spent, timer->run(0, 1));
    least = std::min(least, spent);
  }
  timer->seconds = least;
  timer->launches = static_cast<unsigned>(
      std::clamp(options.unitSeconds / std::max(least, 1e-7), 1.0, 2048.0));
  return timer;
}

Status CandidateTimer::renew(uint64_t seed) {
  units.clear();
  memory.clear();
  next = 0;
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<KernelCase> test,
      makeCaseOf(artifact, arms[0].kernel, arms[0].sample, seed));
  uint64_t bytes = 1;
  for (const auto &[name, tensor] : test->arguments)
    bytes += tensor.bytes();
  const auto count = static_cast<unsigned>(
      std::clamp<uint64_t>(options.coldBytes / bytes + 1, 2, kMaxCopies));
  for (unsigned i = 0; i < count; ++i) {
    Copy &copy = memory.emplace_back();
    copy.arguments = test->arguments;
    HADAL_ASSIGN_OR_RETURN(copy.device,
                           DeviceArguments::create(driver, copy.arguments));
  }
  return {};
}

StatusOr<PreparedEntry *> CandidateTimer::unitOf(size_t arm, unsigned first,
                                                 unsigned count) {
  auto [at, isNew] = units.try_emplace({arm, first, count});
  if (isNew) {
    const Arm &which = arms[arm];
    LaunchList list;
    for (unsigned i = 0; i < count; ++i)
      HADAL_RETURN_IF_ERROR(
          addLaunch(artifact, which.kernel, which.sample,
                    *memory[(first + i) % memory.size()].device, list));
    HADAL_ASSIGN_OR_RETURN(
        at->second,
        executable.prepare(
            artifact.root().kernels()->Get(which.kernel)->name()->str(), list,
            /*replayed=*/true, nullptr));
  }
  return at->second.get();
}

StatusOr<double> CandidateTimer::run(size_t arm, unsigned count) {
  HADAL_ASSIGN_OR_RETURN(PreparedEntry * unit, unitOf(arm, next, count));
  next = static_cast<unsigned>((next + count) % memory.size());
  const auto begin = std::chrono::steady_clock::now();
  HADAL_RETURN_IF_ERROR(unit->run());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
             .count() /
         count;
}

StatusOr<double> CandidateTimer::time(size_t arm) {
  if (options.interrupt && *options.interrupt)
    return error(5016, "interrupted");
  return run(arm, launches);
}

} // namespace hadal::bench
