#include "runtime/drivers/sim/machine/Launch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <system_error>
#include <thread>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/machine/Cta.h"
#include "runtime/schemas/Sm90aLimits.h"

namespace hadal::sim {
namespace {

uint64_t volume(const uint32_t (&v)[3]) {
  return uint64_t(v[0]) * v[1] * v[2];
}

Status checkConfig(const Kernel &kernel, const LaunchConfig &config,
                   size_t parameterBytes) {
  uint64_t threads = volume(config.block);
  if (threads == 0 || threads > 1024 || config.block[2] > 64)
    return error(5022, "kernel '{}': a block has 1 to 1024 threads, not {}",
                 kernel.name, threads);
  if (kernel.maxThreads && threads > kernel.maxThreads)
    return error(5022, "kernel '{}' allows {} threads a block, not {}",
                 kernel.name, kernel.maxThreads, threads);
  uint64_t ctas = volume(config.grid), cluster = volume(config.cluster);
  if (ctas == 0 || ctas > INT32_MAX || config.grid[1] > 65535 ||
      config.grid[2] > 65535)
    return error(5022, "kernel '{}': a grid of {} x {} x {} is not possible",
                 kernel.name, config.grid[0], config.grid[1], config.grid[2]);
  if (cluster == 0 || cluster > 16)
    return error(5022, "kernel '{}': a cluster of {} CTAs is not possible",
                 kernel.name, cluster);
  for (unsigned d = 0; d < 3; ++d) {
    if (config.grid[d] % config.cluster[d])
      return error(5022,
                   "kernel '{}': the grid is not a multiple of the cluster",
                   kernel.name);
    if (volume(kernel.clusterSize) > 1 &&
        kernel.clusterSize[d] != config.cluster[d])
      return error(5022, "kernel '{}' needs clusters of {} x {} x {}",
                   kernel.name, kernel.clusterSize[0], kernel.clusterSize[1],
                   kernel.clusterSize[2]);
  }
  if (kernel.staticShared > sm90a::kMaxSharedBytes ||
      config.sharedBytes > sm90a::kMaxSharedBytes - kernel.staticShared)
    return error(5022,
                 "kernel '{}' needs {} bytes of shared memory, a CTA has {}",
                 kernel.name,
                 uint64_t(kernel.staticShared) + config.sharedBytes,
                 sm90a::kMaxSharedBytes);
  if (parameterBytes != kernel.parameterBytes)
    return error(5022, "kernel '{}' has {} bytes of parameters, given are {}",
                 kernel.name, kernel.parameterBytes, parameterBytes);
  return {};
}

/// The addresses of the module's variables in |memory|, made at the first
/// launch of the module there.
Status bindVariables(LaunchState &state) {
  if (state.kernel->relocations.empty())
    return {};
  std::vector<uint64_t> &addresses =
      state.memory->moduleVariables[state.module->id()];
  const std::vector<ModuleVariable> &variables = state.module->variables();
  while (addresses.size() < variables.size()) {
    const ModuleVariable &v = variables[addresses.size()];
    HADAL_ASSIGN_OR_RETURN(
        uint64_t address,
        state.memory->allocate(v.bytes, v.name, std::max<uint64_t>(v.align, 16)));
    if (!v.init.empty())
      HADAL_RETURN_IF_ERROR(
          state.memory->write(address, v.init.data(), v.init.size()));
    addresses.push_back(address);
  }
  for (const Kernel::Relocation &r : state.kernel->relocations)
    std::fill_n(state.constants.begin() + r.constant * size_t(32), 32,
                addresses[r.variable]);
  return {};
}

uint64_t mix(uint64_t &state) {
  uint64_t z = state += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

/// The clusters that one host thread runs.
struct Share {
  LaunchState state;
  GlobalRaces races;
};

/// Runs every |step|th cluster of |order| from |first| on. |stop| is the place
/// of the first cluster that could not go on: none behind it need run.
void runShare(Share &share, const std::vector<uint32_t> &order, size_t first,
              size_t step, std::atomic<size_t> &stop) {
  LaunchState &state = share.state;
  const auto size = static_cast<uint32_t>(volume(state.config.cluster));
  for (size_t at = first; at < order.size() && at < stop; at += step) {
    state.position = at;
    Cluster cluster(state, order[at], size);
    cluster.run();
    share.races.forget(order[at]);
    if (!state.abandoned)
      continue;
    for (size_t now = stop; at < now && !stop.compare_exchange_weak(now, at);) {
    }
    return;
  }
}

/// One report of all shares, as if one thread had run the clusters in order.
class ReportMerger {
public:
  void add(const Share &share, size_t stop) {
    const Report &from = share.state.report;
    for (size_t i = 0; i < from.findings.size(); ++i)
      if (share.state.findingPositions[i] <= stop)
        all.emplace(share.state.findingPositions[i], from.findings[i]);
    Statistics &to = result.statistics;
    to.instructions += from.statistics.instructions;
    to.ctas += from.statistics.ctas;
    to.divergences += from.statistics.divergences;
    to.asyncOperations += from.statistics.asyncOperations;
    to.globalLoadBytes += from.statistics.globalLoadBytes;
    to.globalStoreBytes += from.statistics.globalStoreBytes;
  }

  /// Races between clusters of two shares.
  void addRaces(const Share &a, const Share &b,
                const std::vector<uint32_t> &order) {
    std::vector<size_t> place(order.size());
    for (size_t i = 0; i < order.size(); ++i)
      place[order[i]] = i;
    for (auto [earlier, later] : a.races.conflictsWith(b.races)) {
      if (place[later.cluster] < place[earlier.cluster])
        std::swap(earlier, later);
      all.emplace(place[later.cluster],
                  globalRaceFinding(a.state, later, earlier));
    }
  }

  Report take() {
    std::map<std::pair<FindingKind, unsigned>, size_t> index;
    for (auto &[place, finding] : all) {
      auto [found, isNew] = index.emplace(
          std::pair(finding.kind, finding.line), result.findings.size());
      if (isNew)
        result.findings.push_back(std::move(finding));
      else
        result.findings[found->second].count += finding.count;
    }
    return std::move(result);
  }

private:
  std::multimap<size_t, Finding> all; ///< by place, then as they were found
  Report result;
};

} // namespace

StatusOr<Report> launch(const PtxModule &module, std::string_view name,
                        const LaunchConfig &config,
                        std::span<const uint8_t> parameters, Memory &memory,
                        const Options &options) {
  const Kernel *kernel = module.find(name);
  if (!kernel)
    return error(5021, "the PTX module has no kernel '{}'", name);
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return error(5007, "the simulator needs a CPU with AVX2 and FMA");
  HADAL_RETURN_IF_ERROR(checkConfig(*kernel, config, parameters.size()));
  LaunchState state;
  state.module = &module;
  state.kernel = kernel;
  state.config = config;
  state.options = options;
  state.memory = &memory;
  state.parameters.assign(parameters.begin(), parameters.end());
  state.constants = kernel->constants;
  HADAL_RETURN_IF_ERROR(bindVariables(state));

  std::vector<uint32_t> order(volume(config.grid) / volume(config.cluster));
  std::iota(order.begin(), order.end(), 0u);
  if (uint64_t seed = options.seed)
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[mix(seed) % i]);
  const size_t threads =
      kernel->ordersGlobal
          ? 1
          : std::clamp<size_t>(options.threads, 1, order.size());
  memory.beginLaunch(config.pdl, threads > 1);

  auto start = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Share>> shares;
  for (size_t t = 0; t < threads; ++t) {
    shares.push_back(std::make_unique<Share>());
    shares[t]->state = state;
    if (options.checkRaces && order.size() < GlobalRaces::maxClusters)
      shares[t]->state.globalRaces = &shares[t]->races;
  }
  std::atomic<size_t> stop = SIZE_MAX;
  std::vector<std::thread> workers;
  size_t started = 1;
  try {
    for (; started < threads; ++started)
      workers.emplace_back([&, t = started] {
        runShare(*shares[t], order, t, threads, stop);
      });
  } catch (const std::system_error &) {
    // No more threads: this one runs what is left.
  }
  runShare(*shares[0], order, 0, threads, stop);
  for (size_t t = started; t < threads; ++t)
    runShare(*shares[t], order, t, threads, stop);
  for (std::thread &worker : workers)
    worker.join();

  ReportMerger merger;
  for (size_t t = 0; t < threads; ++t) {
    merger.add(*shares[t], stop);
    for (size_t other = 0; other < t; ++other)
      merger.addRaces(*shares[other], *shares[t], order);
  }
  Report report = merger.take();
  report.statistics.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return report;
}

} // namespace hadal::sim
