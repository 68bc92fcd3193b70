#include "schedule/spaces/Sm90Fold.h"

namespace hadal::schedule::sm90 {

/// Shared memory that each CTA takes of a multiprocessor's for the system, and
/// what is left for barriers, alignment and small buffers.
static constexpr int64_t kSystemShared = 1 << 10, kReservedShared = 4096;
/// Registers of a consumer thread that accumulators and products may take;
/// with weights as rows, whose blocks are all in flight, beside them scales of
/// the tile's tokens.
static constexpr int64_t kMostRegisters = 200, kMostSwappedRegisters = 180;
/// The same where two CTAs share a multiprocessor: a thread has 128.
static constexpr int64_t kRegistersOfHalf = 64;

/// Bytes of a tile in shared memory: columns in whole chunks of 128 bytes.
static int64_t tileBytes(int64_t rows, int64_t columns, int64_t elementBytes) {
  return ceilDiv(columns * elementBytes, 128) * rows * 128;
}

static int64_t xRows(const Fold &f) {
  return f.swaps ? alignTo(f.bm, 8)
                 : std::max<int64_t>(alignTo(f.bm, 8), f.bm > 64 ? 128 : 64);
}
static int64_t xTileBytes(const Fold &f) {
  return tileBytes(xRows(f), f.bk, f.xBytes);
}
static int64_t weightTileBytes(const Fold &f) {
  if (!f.kMajor)
    return tileBytes(alignTo(f.bk, 8), f.bn, f.wBytes);
  return tileBytes(alignTo(f.bn, f.swaps ? 64 : 8), f.bk, f.wBytes);
}
int64_t stageBytes(const Fold &f) {
  return xTileBytes(f) + f.states * weightTileBytes(f);
}

int64_t ringBytes(const nvptx::Chip &chip, const Fold &f, int64_t ctas) {
  int64_t shared = chip.sharedPerBlock;
  if (ctas > 1)
    shared = chip.sharedPerMultiprocessor / ctas - kSystemShared;
  int64_t fixed = kReservedShared;
  if (f.swaps) // the results pass through it into rows
    fixed += f.bm * (alignTo(f.bn, 64) + 4) * 4;
  return shared - fixed;
}

/// Blocks of 64 weights of a tile whose weights are the rows of wgmma.
static int64_t blocks(const Fold &f) { return ceilDiv(f.bn, 64); }

/// Whether the warpgroups cut a tile of at most 64 rows by columns.
static bool cutsColumns(const Fold &f, int64_t warpgroups) {
  return !f.swaps && warpgroups == 2 && f.bm <= 64;
}

int64_t stateRegisters(const Fold &f, int64_t warpgroups) {
  if (f.swaps)
    return f.states * (blocks(f) / warpgroups) * f.bm / 2;
  return f.states * f.bn / (cutsColumns(f, warpgroups) ? 2 : 1) / 2;
}
int64_t registers(const Fold &f, int64_t warpgroups) {
  int64_t states = stateRegisters(f, warpgroups);
  return states + (f.scaled || f.swaps ? states / f.states : 0);
}

int64_t pickWarpgroups(const Fold &f) {
  if (f.swaps)
    return registers(f, 1) > kRegistersOfHalf && blocks(f) % 2 == 0 ? 2 : 1;
  if (f.bm > 64 || f.bn > 256)
    return 2;
  return f.scaled && f.states * f.bn / 2 >= 128 ? 2 : 1;
}

static std::string tileText(const Fold &f) {
  return "tile of " + std::to_string(f.bm) + " x " + std::to_string(f.bn);
}

Check unfit(const Fold &f, int64_t warpgroups) {
  int64_t most = f.swaps ? kMostSwappedRegisters : kMostRegisters;
  auto shared = [&](const std::string &why) {
    return Broken{Prune::P15, tileText(f) + ", " + std::to_string(warpgroups) +
                                  " warpgroups: " + why};
  };
  if (f.swaps && blocks(f) % warpgroups != 0)
    return shared(std::to_string(blocks(f)) + " blocks of 64 columns");
  if (int64_t taken = registers(f, warpgroups); taken > most)
    return Broken{Prune::P07, tileText(f) + ", " + std::to_string(warpgroups) +
                                  " warpgroups: " + std::to_string(taken) +
                                  " registers of " + std::to_string(most)};
  if (f.swaps)
    return std::nullopt;
  if (f.bm > 64 && warpgroups != 2)
    return shared("each has 64 rows");
  // Halves of the columns start at whole blocks of 64 and in one scale block.
  if (f.bm <= 64 && warpgroups != 1 && !(f.bn == 128 && f.cuttable))
    return shared("only 128 columns that no head fills are cut");
  return std::nullopt;
}

Check unfitCtas(const Fold &f, int64_t warpgroups, int64_t ctas) {
  if (ctas == 1)
    return std::nullopt;
  if (warpgroups != 1)
    return Broken{Prune::P15, std::to_string(ctas) + " CTAs of " +
                                  std::to_string(warpgroups) + " warpgroups"};
  if (int64_t taken = registers(f, 1); taken > kRegistersOfHalf)
    return Broken{Prune::P07,
                  std::to_string(ctas) + " CTAs: " + std::to_string(taken) +
                      " registers of " + std::to_string(kRegistersOfHalf)};
  return std::nullopt;
}

cost::FoldWork workOf(const nvptx::Chip &chip, const Fold &fold,
                      int64_t warpgroups, int64_t ctasPerMultiprocessor) {
  cost::FoldWork work = {};
  work.items = fold.itemsOfRows;
  work.ctasPerMultiprocessor = ctasPerMultiprocessor;
  work.steps = fold.steps;
  work.parameterBytesPerStep = fold.states * weightTileBytes(fold);
  // What lies beyond the rows is not brought.
  work.activationBytesPerStep = static_cast<double>(xTileBytes(fold)) /
                                xRows(fold) * std::min(fold.rows, xRows(fold));
  int64_t m = fold.swaps ? fold.bm : std::max<int64_t>(fold.bm, 64);
  work.flopsPerStep = fold.states * 2.0 * m * fold.bn * fold.bk;
  work.flopRate = fold.xBytes == 1 ? chip.fp8Rate : chip.bf16Rate;
  work.stateSize = stateRegisters(fold, warpgroups) * 128 * warpgroups * 4;
  work.stateBytes = work.stateSize;
  if (fold.rows < 64 && !fold.swaps)
    work.stateBytes = work.stateSize * fold.rows / 64;
  return work;
}

cost::StepPipeline pipelineOf(const Fold &fold, int64_t warpgroups,
                              int64_t stages) {
  // wgmma takes 64 rows; its columns are the other operand's.
  const int64_t rows = fold.swaps ? fold.bn : std::max<int64_t>(fold.bm, 64);
  const auto columns = static_cast<double>(fold.swaps ? fold.bm : fold.bn);
  const auto blocksOfRows = static_cast<double>(ceilDiv(rows, 64));
  // 128 bytes of K at a time: 64 x 128 bytes against the columns', of which
  // 4096 products of a byte, or half as many of two, are a clock.
  const double groups = static_cast<double>(fold.bk * fold.xBytes) / 128;
  cost::StepPipeline pipeline = {};
  pipeline.tensorClocks =
      groups * static_cast<double>(fold.states) * 2 * columns * blocksOfRows;
  pipeline.feedClocks =
      groups * static_cast<double>(fold.states) * (64 + columns) * blocksOfRows;
  if (fold.scaled)
    pipeline.promotionClocks = groups * static_cast<double>(fold.states) *
                               columns * static_cast<double>(rows) / 128;
  pipeline.warpgroups = warpgroups;
  pipeline.stages = stages;
  pipeline.readers = static_cast<double>(fold.rowTiles);
  pipeline.outputBytes = static_cast<double>(std::min(fold.bm, fold.rows)) *
                         static_cast<double>(fold.bn) * 4;
  return pipeline;
}

} // namespace hadal::schedule::sm90
