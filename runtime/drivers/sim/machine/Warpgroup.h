// The wgmma state of one warpgroup: what its four warps have issued, the commit
// groups, and the registers that instructions in flight own.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "runtime/drivers/sim/machine/Exec.h"
#include "runtime/drivers/sim/semantics/RaceDetector.h"
#include "runtime/drivers/sim/semantics/WgmmaCompute.h"

namespace hadal::sim {

class RaceMonitor;

/// The operands of one execution of wgmma.mma_async by a warp.
struct MmaOperands {
  WgmmaShape shape;
  bool registerA = false;
  uint64_t a = 0, b = 0; ///< descriptors
  bool accumulate = false;
  const Operand *d = nullptr;         ///< shape.accumulatorRegisters() rows
  const Operand *aRegisters = nullptr; ///< 4 rows if registerA
};

/// wgmma is executed by each warp on its own, so the warps of a warpgroup may
/// be anywhere; the n-th mma_async of each of them is one instruction. It takes
/// its inputs when the last warp issues it, and gives each warp its part of D
/// when that warp waits. A warp's wait returns when all four have committed.
class Warpgroup {
public:
  Warpgroup(Cta &cta, unsigned firstWarp);

  void mma(Exec &x, const MmaOperands &operands);
  void fence(Exec &x);
  void commit(Exec &x);
  /// wait_group |pending|.
  Flow wait(Exec &x, uint64_t pending);
  /// The CTA ends: reports what was never waited for.
  void finish();

  /// test_wait polls of this warpgroup that failed.
  unsigned failedPolls = 0;

private:
  /// A dense accumulator that instructions in flight write.
  struct Tile {
    std::vector<Operand> rows;
    WgmmaShape shape;
    std::vector<float> values;
    /// One byte per element, empty while all are defined.
    std::vector<uint8_t> undefined;
    uint64_t lastGroup = 0;
    uint8_t stored = 0; ///< warps that have their part
  };
  struct Mma {
    MmaOperands operands;
    uint32_t pc = 0;
    uint8_t warps = 0; ///< that have issued it
    uint64_t group = 0;
    bool legal = true;
    bool performed = false;
    MatrixDescriptor a{}, b{};
    /// Of the operands in shared memory; made when all warps issued it.
    std::vector<uint32_t> aChunks, bChunks;
    std::vector<float> aTile; ///< of register operands
    std::vector<uint8_t> aUndefined;
    SyncClock knowledge;
    std::shared_ptr<Tile> tile;
  };
  struct CommitGroup {
    bool tracked = false;
    RaceDetector::Operation operation = 0;
    uint8_t waited = 0;
  };
  struct Tag {
    uint64_t group = 0;
    bool accumulator = false;
  };
  struct WarpState {
    uint64_t issued = 0, committed = 0, waited = 0;
    bool fenced = false;
    std::vector<Tag> tags; ///< by row, valid where Warp::tagged
    std::vector<uint32_t> taggedRows;
  };

  RaceMonitor *races() const;
  Mma &issue(Exec &x, unsigned w, const MmaOperands &operands);
  void checkRegisters(Exec &x, unsigned w, const Mma &current,
                      const MmaOperands &operands);
  void tag(Warp &warp, WarpState &state, Operand row, bool accumulator);
  void takeRegisterA(Exec &x, unsigned w, Mma &mma);
  /// All four warps have issued |mma|.
  void launch(Exec &x, Mma &mma);
  void noteReads(Exec &x, Mma &mma);
  void loadTile(Mma &mma, Tile &tile);
  void perform(Mma &mma);
  void storeTiles(Warp &warp, unsigned w, uint64_t end);
  CommitGroup &group(uint64_t index);

  Cta &cta;
  unsigned firstWarp;
  std::array<WarpState, 4> states;
  std::deque<Mma> instructions;
  uint64_t firstInstruction = 0;
  std::deque<CommitGroup> groups;
  uint64_t firstGroup = 0;
  std::vector<std::shared_ptr<Tile>> tiles;
  std::vector<float> aScratch, bScratch;
};

} // namespace hadal::sim
