// The state of a warp: registers, definedness and convergence groups.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/drivers/sim/machine/AsyncQueue.h"
#include "runtime/drivers/sim/ptx/Instruction.h"

namespace hadal::sim {

/// Why a group does not run.
enum class Park : uint8_t {
  none,
  barrier, ///< at bar.sync; pc is already behind it
  sync,    ///< waits for lanes of its member mask at the same pc
  aligned, ///< at an .aligned instruction; waits for the rest of the warp
  event,   ///< re-executes its instruction when the cluster's events changed
};

/// Lanes that run together.
struct Group {
  uint32_t pc = 0, mask = 0;
  uint32_t backEdges = 0; ///< taken while other groups waited
  Park park = Park::none;
  /// Goes on without the others: they cannot come.
  bool diverged = false;
  uint8_t barrier = 0;       ///< Park::barrier: its id
  uint64_t eventSeen = 0;    ///< Park::event: Cluster::events when parked
  uint32_t mbarrier = 0;     ///< Park::event: the object waited for, or 0

  /// Groups run in the order of (turn, pc): the one that is behind in the text
  /// comes first, so that the others wait for it where it joins them, unless it
  /// spins.
  static constexpr unsigned turnShift = 8;
  bool before(const Group &other) const {
    uint32_t mine = backEdges >> turnShift;
    uint32_t others = other.backEdges >> turnShift;
    return mine != others ? mine < others : pc < other.pc;
  }
};

/// 32 lanes. Register rows are 32 x 32 bits (Kernel); one word of undef per
/// byte of a row's lane: bit l of undef[4 * row + b] says that byte b of lane l
/// is undefined.
struct Warp {
  unsigned index = 0; ///< within the CTA
  uint32_t live = 0;  ///< lanes that have not exited
  /// Lanes ordered after a griddepcontrol.wait, their own or that of a thread
  /// they synchronised with; all of them if the launch has no predecessor.
  uint32_t dependent = 0;
  uint32_t *rows = nullptr;
  uint32_t *undef = nullptr;
  uint32_t *preds = nullptr;     ///< one word a predicate, bit l = lane l
  uint32_t *predUndef = nullptr; ///< bit l: undefined

  Group current;
  std::vector<Group> others;

  /// Rows that a wgmma in flight owns; any other use is a finding.
  unsigned taggedRows = 0;
  std::vector<uint8_t> tagged;

  /// cp.async groups, one per lane, made at the first cp.async.
  std::unique_ptr<CommitGroups[]> copyGroups;
  /// Cluster::barrierPhase at the last barrier.cluster.arrive.
  uint32_t clusterPhase = 0;
  /// Registers per thread after setmaxnreg, 0 = as launched.
  uint32_t registers = 0;

  bool done() const { return live == 0; }
};

} // namespace hadal::sim
