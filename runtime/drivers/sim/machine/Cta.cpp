#include "runtime/drivers/sim/machine/Cta.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/machine/Exec.h"

namespace hadal::sim {
namespace {

/// Back edges that a warp takes before the next warp runs: spinning on memory
/// cannot starve the others.
constexpr uint32_t backEdgeQuantum = 4096;

uint32_t sharedBytesOf(const LaunchState &launch) {
  const Kernel &k = *launch.kernel;
  uint32_t fixed = (k.staticShared + k.sharedAlign - 1) & -k.sharedAlign;
  return launch.config.sharedBytes ? fixed + launch.config.sharedBytes
                                   : k.staticShared;
}

} // namespace

Cta::Cta(LaunchState &launch, Cluster &cluster, uint32_t linear)
    : launch(launch), kernel(*launch.kernel), cluster(cluster), linear(linear),
      rank(0), index{}, shared(sharedBytesOf(launch)),
      async(*this, launch.options.policy == AsyncPolicy::eager) {
  const LaunchConfig &config = launch.config;
  uint32_t threads = config.block[0] * config.block[1] * config.block[2];
  uint32_t count = (threads + 31) / 32;
  size_t rows = kernel.rows, preds = kernel.predicates;
  // A row of 32 words a register; four words of flags beside it, one bit for
  // each byte of each lane, all undefined at first. Predicates are a bit a
  // lane, their flags behind the predicates of all warps.
  registerFile.assign(count * rows * 32, 0);
  undefFile.assign(count * rows * 4, ~0u);
  predicateFile.assign(count * preds, 0);
  predicateFile.resize(2 * count * preds, ~0u);
  localMemory.assign(size_t(count) * 32 * kernel.localBytes, 0);
  localDefined.assign(localMemory.size(), 0);
  warps.resize(count);
  liveWarps = count;
  for (uint32_t w = 0; w < count; ++w) {
    Warp &warp = warps[w];
    warp.index = w;
    uint32_t lanes = std::min(32u, threads - w * 32);
    warp.live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    // Lanes that may read what the kernel ahead wrote: all, unless the launch
    // overlaps it; then those that have executed griddepcontrol.wait.
    warp.dependent = config.pdl ? 0 : ~0u;
    warp.rows = registerFile.data() + w * rows * 32;
    warp.undef = undefFile.data() + w * rows * 4;
    warp.preds = predicateFile.data() + w * preds;
    warp.predUndef = predicateFile.data() + (count + w) * preds;
    warp.tagged.assign(rows, 0);
    Group all;
    all.mask = warp.live;
    warp.others.push_back(all);
  }
  engine = std::make_unique<AsyncEngine>(*this);
}

Cta::~Cta() = default;

uint8_t *Cta::localOf(unsigned warp, unsigned lane) {
  return localMemory.data() + size_t(warp * 32 + lane) * kernel.localBytes;
}
uint8_t *Cta::localDefinedOf(unsigned warp, unsigned lane) {
  return localDefined.data() + size_t(warp * 32 + lane) * kernel.localBytes;
}

// One finding for each kind and instruction; more of the same are counted. Its
// position orders findings of CTAs that ran on several host threads.
void Cta::report(FindingKind kind, const Warp &warp, uint32_t pc,
                 uint32_t lanes, uint64_t address, std::string text) {
  std::pair<FindingKind, uint32_t> key(kind, pc);
  auto found = launch.findingIndex.find(key);
  if (found != launch.findingIndex.end()) {
    ++launch.report.findings[found->second].count;
    return;
  }
  launch.findingIndex[key] = launch.report.findings.size();
  launch.findingPositions.push_back(launch.position);
  Finding finding;
  finding.kind = kind;
  finding.kernel = kernel.name;
  finding.line = kernel.lines[pc];
  finding.cta = linear;
  finding.warp = warp.index;
  finding.lane = lanes ? std::countr_zero(lanes) : 0;
  finding.address = address;
  finding.text = std::move(text);
  launch.report.findings.push_back(std::move(finding));
}

bool Cta::runnable(const Group &group) const {
  return group.park == Park::none ||
         (group.park == Park::event && group.eventSeen != cluster.events);
}

bool Cta::hasRunnable(const Warp &warp) const {
  return std::any_of(warp.others.begin(), warp.others.end(),
                     [&](const Group &g) { return runnable(g); });
}

// Diverged lanes run as groups, the one that is furthest behind first
// (Group::before), so that groups which can meet do: code behind an if runs
// once for both sides, as with a reconvergence stack, and a loop's late lanes
// catch up. No order between groups is promised to the program: that is the
// architecture's rule too.
bool Cta::pickGroup(Warp &warp) {
  std::vector<Group> &groups = warp.others;
  size_t best = groups.size();
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!runnable(groups[g]))
      continue;
    if (best == groups.size() || groups[g].before(groups[best]))
      best = g;
  }
  if (best == groups.size())
    return false;
  warp.current = groups[best];
  warp.current.park = Park::none;
  groups.erase(groups.begin() + static_cast<ptrdiff_t>(best));
  if (groups.empty())
    warp.current.backEdges = 0;
  // Lanes that wait at the same place come along.
  mergeOrSwitch(warp);
  if (warp.current.mask == 0)
    return pickGroup(warp);
  return true;
}

bool Cta::mergeOrSwitch(Warp &warp) {
  bool change = false;
  for (size_t g = 0; g < warp.others.size();) {
    Group &other = warp.others[g];
    // A group that waits in bar.sync has arrived there already: it must not
    // execute the instruction again with those that come later.
    if (other.pc == warp.current.pc && other.park != Park::barrier) {
      warp.current.mask |= other.mask;
      warp.current.backEdges =
          std::min(warp.current.backEdges, other.backEdges);
      warp.others.erase(warp.others.begin() + static_cast<ptrdiff_t>(g));
      continue;
    }
    change |= runnable(other) && other.before(warp.current);
    ++g;
  }
  if (!change)
    return false;
  warp.others.push_back(warp.current);
  warp.current.mask = 0;
  return true;
}

// Registers that a wgmma in flight owns are tagged until its wait. The hardware
// would read or overwrite half-finished accumulators without a word.
void Cta::checkTags(Exec &x) {
  for (uint32_t u = kernel.useBegin[x.pc]; u < kernel.useBegin[x.pc + 1]; ++u)
    if (warps[x.warp.index].tagged[kernel.uses[u]]) {
      x.report(FindingKind::inFlightRegister, x.mask, 0,
               fmt::format("{} uses a register of a wgmma that is in flight",
                           kernel.mnemonics[x.pc]));
      return;
    }
}

void Cta::runWarp(Warp &warp) {
  Exec x(*this, warp);
  const Instruction *code = kernel.code.data();
  uint32_t backEdges = 0;
  uint64_t executed = 0;
  while (pickGroup(warp)) {
    uint32_t pc = warp.current.pc;
    for (;;) {
      const Instruction &i = code[pc];
      uint32_t lanes = warp.current.mask;
      ++executed;
      if (i.guard >= 0) {
        uint32_t p = warp.preds[i.guard];
        // A branch on an undefined value is reported here and followed as its
        // bits happen to be.
        if (uint32_t bad = warp.predUndef[i.guard] & lanes) [[unlikely]] {
          x.pc = pc;
          x.report(FindingKind::undefinedBranch, bad, 0,
                   "the guard depends on undefined bits");
        }
        lanes &= i.guardNegated ? ~p : p;
      }
      if (lanes) {
        x.mask = lanes;
        x.pc = pc;
        if (warp.taggedRows && !i.ownsTags) [[unlikely]]
          checkTags(x);
        Flow flow = i.handler(x, i);
        if (flow == Flow::next) {
          ++pc;
        } else if (flow == Flow::jump) {
          // A warp that spins gives way: what it waits for may be another
          // warp's plain store, which no event announces.
          if (x.pc <= pc && ++backEdges >= backEdgeQuantum) {
            warp.current.pc = x.pc;
            warp.others.push_back(warp.current);
            instructions += executed;
            if (instructions > launch.options.instructionLimit) {
              report(FindingKind::instructionLimit, warp, pc, lanes, 0,
                     fmt::format("the CTA executed over {} warp instructions",
                                 launch.options.instructionLimit));
              launch.abandoned = true;
            }
            return;
          }
          pc = x.pc;
        } else {
          break;
        }
      } else {
        ++pc;
      }
      if (!warp.others.empty()) [[unlikely]] {
        warp.current.pc = pc;
        if (mergeOrSwitch(warp))
          break;
      }
    }
  }
  instructions += executed;
}

bool Cta::step() {
  bool ran = false;
  for (Warp &warp : warps) {
    if (warp.done() || !hasRunnable(warp))
      continue;
    ran = true;
    runWarp(warp);
    if (launch.abandoned)
      return true;
  }
  if (done() && ran)
    finish();
  return ran;
}

void Cta::finish() {
  engine->finish();
  launch.report.statistics.instructions += instructions;
  launch.report.statistics.asyncOperations += async.issued();
  ++launch.report.statistics.ctas;
}

// Nobody can run: time passes until an operation in flight completes. First one
// that somebody waits for, else the oldest; under the eager policy there is
// none, and what is left is a deadlock.
bool Cta::completeSomething() {
  for (const Warp &warp : warps)
    for (const Group &group : warp.others)
      if (group.park == Park::event && group.mbarrier &&
          async.completeFor(group.mbarrier))
        return true;
  return async.completeOldest();
}

bool Cta::releaseAligned() {
  for (Warp &warp : warps)
    for (Group &group : warp.others)
      if (group.park == Park::aligned) {
        group.park = Park::none;
        group.diverged = true;
        return true;
      }
  return false;
}

void Cta::settleBarrier(unsigned id) {
  NamedBarrier &b = barriers[id];
  uint32_t need = b.expected ? b.expected : liveWarps * 32;
  if (b.arrived < need || !b.inUse)
    return;
  NamedBarrier done = b;
  b = {};
  for (Warp &warp : warps) {
    bool departed = false;
    for (Group &group : warp.others) {
      if (group.park != Park::barrier || group.barrier != id)
        continue;
      group.park = Park::none;
      departed = true;
      if (done.dependent)
        warp.dependent |= group.mask;
      if (done.redCount) {
        Exec x(*this, warp);
        x.mask = group.mask;
        x.pc = group.pc - 1;
        finishReduction(x, group, done);
      }
    }
    if (departed && monitor)
      monitor->barrierDepart(warp.index, id);
  }
}

void Cta::reportDeadlock() {
  std::string text = "nothing can run and nothing is pending";
  const Warp *first = nullptr;
  uint32_t pc = 0;
  for (const Warp &warp : warps) {
    for (const Group &group : warp.others) {
      uint32_t at = group.park == Park::barrier ? group.pc - 1 : group.pc;
      if (!first) {
        first = &warp;
        pc = at;
      }
      std::string why = group.park == Park::barrier
                            ? fmt::format("waits at barrier {}", group.barrier)
                        : group.park == Park::sync
                            ? "waits for lanes of its member mask"
                        : group.park == Park::aligned
                            ? "waits for the other lanes of its warp"
                            : engine->describeWait(group);
      text += fmt::format("; warp {} lanes {:#x} at line {} ({}) {}",
                          warp.index, group.mask, kernel.lines[at],
                          kernel.mnemonics[at], why);
    }
  }
  if (first)
    report(FindingKind::deadlock, *first, pc, 0, 0, std::move(text));
}

// ---- Cluster ------------------------------------------------------------

Cluster::Cluster(LaunchState &launch, uint32_t clusterIndex, uint32_t count)
    : launch(launch), index(clusterIndex) {
  const LaunchConfig &config = launch.config;
  uint32_t clusters[3];
  for (unsigned d = 0; d < 3; ++d)
    clusters[d] = config.grid[d] / config.cluster[d];
  uint32_t at[3] = {clusterIndex % clusters[0],
                    clusterIndex / clusters[0] % clusters[1],
                    clusterIndex / clusters[0] / clusters[1]};
  for (uint32_t r = 0; r < count; ++r) {
    uint32_t inside[3] = {r % config.cluster[0],
                          r / config.cluster[0] % config.cluster[1],
                          r / config.cluster[0] / config.cluster[1]};
    uint32_t index[3];
    for (unsigned d = 0; d < 3; ++d)
      index[d] = at[d] * config.cluster[d] + inside[d];
    uint32_t linear =
        index[0] + config.grid[0] * (index[1] + config.grid[1] * index[2]);
    ctas.push_back(std::make_unique<Cta>(launch, *this, linear));
    ctas.back()->rank = r;
    std::copy(index, index + 3, ctas.back()->index);
  }
  if (!launch.options.checkRaces)
    return;
  const Cta &first = *ctas.front();
  auto detector = RaceMonitor::makeDetector(
      count, static_cast<unsigned>(first.warps.size()), first.shared.bytes());
  for (std::unique_ptr<Cta> &cta : ctas) {
    cta->monitor = std::make_unique<RaceMonitor>(*cta, detector);
    if (launch.globalRaces)
      cta->globalMonitor =
          std::make_unique<GlobalMonitor>(*cta, *launch.globalRaces);
  }
}

void Cluster::settleBarrier() {
  if (!barrierArrived)
    return;
  uint32_t live = 0;
  for (const std::unique_ptr<Cta> &cta : ctas)
    for (const Warp &warp : cta->warps)
      live += std::popcount(warp.live);
  if (barrierArrived < live)
    return;
  barrierArrived = 0;
  ++barrierPhase;
  ++events;
}

void Cluster::run() {
  auto all = [&] {
    return std::all_of(ctas.begin(), ctas.end(),
                       [](const std::unique_ptr<Cta> &c) { return c->done(); });
  };
  while (!all()) {
    bool ran = false;
    for (std::unique_ptr<Cta> &cta : ctas) {
      if (!cta->done())
        ran |= cta->step();
      if (launch.abandoned)
        return;
    }
    if (ran)
      continue;
    for (std::unique_ptr<Cta> &cta : ctas)
      ran |= cta->completeSomething();
    if (ran)
      continue;
    for (std::unique_ptr<Cta> &cta : ctas)
      ran = ran || cta->releaseAligned();
    if (ran)
      continue;
    for (std::unique_ptr<Cta> &cta : ctas)
      if (!cta->done())
        cta->reportDeadlock();
    launch.abandoned = true;
    return;
  }
}

} // namespace hadal::sim
