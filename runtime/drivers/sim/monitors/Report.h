// What a simulated launch reports: findings and statistics.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hadal::sim {

/// Kinds of findings. Each is a defect of the kernel (or of its launch), never
/// of the simulator: what sim does not model is a Status, not a finding.
enum class FindingKind : uint8_t {
  outOfBounds,         ///< address outside every allocation of its space
  misaligned,          ///< address not a multiple of the access size
  undefinedStore,      ///< undefined bits reach global memory
  undefinedAddress,    ///< undefined bits in an address
  undefinedBranch,     ///< undefined bits decide a branch or a guard
  divergentAligned,    ///< `.aligned` instruction without all lanes
  badMemberMask,       ///< lane outside its own member mask
  deadlock,            ///< nothing can run and nothing is pending
  instructionLimit,    ///< a CTA ran longer than Options::instructionLimit
  barrierMisuse,       ///< thread counts of one barrier disagree
  mbarrierMisuse,      ///< dead object, overflow, wrong phase of a wait
  inFlightRegister,    ///< register of a wgmma in flight read or written
  missingProxyFence,   ///< generic write, async access, no proxy fence
  race,                ///< two unordered accesses to the same bytes
  staleRead,           ///< access before griddepcontrol.wait
  badDescriptor,       ///< wgmma descriptor or tensor map that is not legal
  registerBudget,      ///< setmaxnreg out of range or over the CTA's pool
  trap,                ///< trap executed
  unfinishedAsync,     ///< CTA exits while an async operation needs it
};

/// "out-of-bounds", ... as printed.
const char *findingName(FindingKind kind);

/// One finding. Repetitions of (kind, line) within a launch are counted, not
/// listed: the first one is described.
struct Finding {
  FindingKind kind;
  std::string kernel;
  unsigned line = 0;    ///< 1-based line of the PTX text
  uint32_t cta = 0;     ///< linear CTA index
  unsigned warp = 0;    ///< warp within the CTA
  unsigned lane = 0;    ///< first lane concerned
  uint64_t address = 0; ///< 0 where no address is concerned
  std::string text;     ///< what was expected and found
  uint64_t count = 1;

  std::string toString() const;
};

struct Statistics {
  uint64_t instructions = 0; ///< warp instructions executed
  uint64_t ctas = 0;
  uint64_t divergences = 0;  ///< branches that split a group
  uint64_t asyncOperations = 0;
  uint64_t globalLoadBytes = 0;
  uint64_t globalStoreBytes = 0;
  double seconds = 0;
};

struct Report {
  std::vector<Finding> findings;
  Statistics statistics;

  bool clean() const { return findings.empty(); }
  /// One line per finding.
  std::string toString() const;
};

} // namespace hadal::sim
