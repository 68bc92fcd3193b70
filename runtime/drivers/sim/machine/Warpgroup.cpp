#include "runtime/drivers/sim/machine/Warpgroup.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/drivers/sim/machine/AsyncEngine.h"

namespace hadal::sim {
namespace {

bool sameShape(const WgmmaShape &a, const WgmmaShape &b) {
  return a.a == b.a && a.b == b.b && a.n == b.n && a.f16Result == b.f16Result;
}

/// Lanes in which a byte of |row| is undefined.
uint32_t undefinedLanes(const Warp &warp, Operand row) {
  const uint32_t *u = warp.undef + size_t(row) * 4;
  return u[0] | u[1] | u[2] | u[3];
}

/// Whether any of the 16 bytes at |address| is undefined.
bool undefinedChunk(SharedMemory &shared, uint32_t address) {
  static constexpr uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1,
                                       1, 1, 1, 1, 1, 1, 1, 1};
  return std::memcmp(shared.definedAt(address), ones, 16) != 0;
}

} // namespace

Warpgroup::Warpgroup(Cta &cta, unsigned firstWarp)
    : cta(cta), firstWarp(firstWarp) {
  for (WarpState &state : states)
    state.tags.resize(cta.kernel.rows);
}

RaceMonitor *Warpgroup::races() const { return cta.engine->races(); }

Warpgroup::CommitGroup &Warpgroup::group(uint64_t index) {
  while (firstGroup + groups.size() <= index)
    groups.emplace_back();
  return groups[index - firstGroup];
}

Warpgroup::Mma &Warpgroup::issue(Exec &x, unsigned w,
                                 const MmaOperands &operands) {
  WarpState &state = states[w];
  uint64_t index = state.issued++;
  if (index == firstInstruction + instructions.size()) {
    Mma &mma = instructions.emplace_back();
    mma.operands = operands;
    mma.pc = x.pc;
    mma.group = state.committed;
    auto decode = [&](uint64_t bits, WgmmaType type, bool mnMajor,
                      MatrixDescriptor &into) {
      auto descriptor = decodeMatrixDescriptor(bits, type, mnMajor);
      if (descriptor.ok()) {
        into = *descriptor;
        return;
      }
      mma.legal = false;
      x.report(FindingKind::badDescriptor, x.mask, bits & 0x3fff,
               descriptor.status().message());
    };
    if (!operands.registerA)
      decode(operands.a, operands.shape.a, operands.shape.transA, mma.a);
    decode(operands.b, operands.shape.b, operands.shape.transB, mma.b);
    return mma;
  }
  Mma &mma = instructions[index - firstInstruction];
  const MmaOperands &first = mma.operands;
  if (mma.pc != x.pc || mma.group != state.committed)
    x.report(FindingKind::divergentAligned, x.mask, 0,
             fmt::format("the warps of a warpgroup execute different wgmma "
                         "instructions: another warp is at line {}",
                         cta.kernel.lines[mma.pc]));
  else if (first.a != operands.a || first.b != operands.b ||
           first.accumulate != operands.accumulate)
    x.report(FindingKind::badDescriptor, x.mask, 0,
             fmt::format("descriptors and scale-d must be equal in all warps: "
                         "A {:#x}, B {:#x} here, A {:#x}, B {:#x} in another",
                         operands.a, operands.b, first.a, first.b));
  return mma;
}

void Warpgroup::checkRegisters(Exec &x, unsigned w, const Mma &current,
                               const MmaOperands &operands) {
  WarpState &state = states[w];
  Warp &warp = x.warp;
  const unsigned count = operands.shape.accumulatorRegisters();
  bool inFlight = false, clash = false;
  for (unsigned i = 0; i < count; ++i) {
    Operand row = operands.d[i];
    if (!warp.tagged[row])
      continue;
    inFlight = true;
    clash |= !state.tags[row].accumulator;
  }
  if (operands.registerA)
    for (unsigned i = 0; i < 4; ++i) {
      Operand row = operands.aRegisters[i];
      if (row >= 0 && warp.tagged[row] && state.tags[row].accumulator)
        clash = true;
    }
  if (inFlight) {
    // Only instructions of one shape may add to the same registers.
    bool matches = false;
    for (const auto &tile : tiles)
      matches |= !(tile->stored >> w & 1) &&
                 sameShape(tile->shape, operands.shape) &&
                 std::equal(tile->rows.begin(), tile->rows.end(), operands.d,
                            operands.d + count);
    // Of what this warp issued before, some is not complete in the others.
    for (const Mma &mma : instructions) {
      if (&mma == &current)
        break;
      matches |= !mma.tile && sameShape(mma.operands.shape, operands.shape) &&
                 std::equal(mma.operands.d, mma.operands.d + count, operands.d);
    }
    clash |= !matches;
  }
  if (clash)
    x.report(FindingKind::inFlightRegister, x.mask, 0,
             "wgmma.mma_async uses registers of another wgmma in flight that "
             "is not of its shape and accumulators");
  if (!inFlight && !state.fenced)
    x.report(FindingKind::inFlightRegister, x.mask, 0,
             "no wgmma.fence since the registers of this wgmma were free for "
             "other accesses");
}

void Warpgroup::tag(Warp &warp, WarpState &state, Operand row,
                    bool accumulator) {
  if (row < 0) // a constant
    return;
  if (!warp.tagged[row]) {
    warp.tagged[row] = 1;
    ++warp.taggedRows;
    state.taggedRows.push_back(static_cast<uint32_t>(row));
  }
  state.tags[row] = {state.committed, accumulator};
}

void Warpgroup::takeRegisterA(Exec &x, unsigned w, Mma &mma) {
  const WgmmaShape &shape = mma.operands.shape;
  mma.aTile.resize(64 * shape.k());
  for (unsigned reg = 0; reg < 4; ++reg) {
    Operand row = mma.operands.aRegisters[reg];
    loadOperandRegister(shape, w, reg, x.in<uint32_t>(row), mma.aTile.data());
    uint32_t undefined = x.undefLanes<uint32_t>(row);
    if (!undefined)
      continue;
    mma.aUndefined.resize(64);
    for (unsigned lane = 0; lane < 32; ++lane)
      if (undefined >> lane & 1)
        mma.aUndefined[registerOperandElement(shape.a, 32 * w + lane, reg, 0)
                           .first] = 1;
  }
}

void Warpgroup::mma(Exec &x, const MmaOperands &operands) {
  if (firstWarp + 4 > cta.warps.size()) {
    x.report(FindingKind::divergentAligned, x.mask, 0,
             "wgmma needs a warpgroup of four warps");
    return;
  }
  const unsigned w = x.warp.index - firstWarp;
  Mma &mma = issue(x, w, operands);
  checkRegisters(x, w, mma, operands);
  WarpState &state = states[w];
  for (unsigned i = 0; i < operands.shape.accumulatorRegisters(); ++i)
    tag(x.warp, state, operands.d[i], true);
  if (operands.registerA) {
    takeRegisterA(x, w, mma);
    for (unsigned i = 0; i < 4; ++i)
      tag(x.warp, state, operands.aRegisters[i], false);
  }
  if (RaceMonitor *monitor = races()) {
    SyncClock knowledge =
        monitor->detector().knowledgeOf(monitor->agent(x.warp.index));
    if (mma.warps)
      mma.knowledge.meet(knowledge);
    else
      mma.knowledge = std::move(knowledge);
  }
  mma.warps |= static_cast<uint8_t>(1u << w);
  if (mma.warps == 0xf)
    launch(x, mma);
}

void Warpgroup::loadTile(Mma &mma, Tile &tile) {
  const WgmmaShape &shape = mma.operands.shape;
  tile.rows.assign(mma.operands.d,
                   mma.operands.d + shape.accumulatorRegisters());
  tile.shape = shape;
  tile.values.resize(size_t{64} * shape.n);
  if (!mma.operands.accumulate)
    return;
  for (unsigned w = 0; w < 4; ++w) {
    const Warp &warp = cta.warps[firstWarp + w];
    for (unsigned reg = 0; reg < tile.rows.size(); ++reg) {
      Operand row = tile.rows[reg];
      loadAccumulatorRegister(shape, w, reg, warp.rows + size_t(row) * 32,
                              tile.values.data());
      uint32_t undefined = undefinedLanes(warp, row);
      if (!undefined)
        continue;
      tile.undefined.resize(tile.values.size());
      for (unsigned lane = 0; lane < 32; ++lane)
        if (undefined >> lane & 1)
          for (unsigned e = 0; e < (shape.f16Result ? 2u : 1u); ++e) {
            auto [r, c] = accumulatorElement(
                32 * w + lane, shape.f16Result ? 2 * reg + e : reg);
            tile.undefined[r * shape.n + c] = 1;
          }
    }
  }
}

void Warpgroup::launch(Exec &x, Mma &mma) {
  const MmaOperands &operands = mma.operands;
  for (const auto &tile : tiles)
    if (!tile->stored && std::equal(tile->rows.begin(), tile->rows.end(),
                                    operands.d,
                                    operands.d +
                                        operands.shape.accumulatorRegisters()))
      mma.tile = tile;
  if (!mma.tile) {
    mma.tile = std::make_shared<Tile>();
    loadTile(mma, *mma.tile);
    tiles.push_back(mma.tile);
  }
  mma.tile->lastGroup = mma.group;
  if (mma.legal) {
    const WgmmaShape &shape = operands.shape;
    if (!operands.registerA)
      mma.aChunks = operandChunks(mma.a, shape.a, shape.transA, 64);
    mma.bChunks = operandChunks(mma.b, shape.b, shape.transB, shape.n);
  }
  if (races() && mma.legal)
    noteReads(x, mma);
  ++cta.launch.report.statistics.asyncOperations;
  if (cta.launch.options.policy == AsyncPolicy::eager)
    perform(mma);
}

void Warpgroup::noteReads(Exec &x, Mma &mma) {
  RaceMonitor &monitor = *races();
  CommitGroup &commit = group(mma.group);
  if (commit.tracked) {
    monitor.detector().setKnowledge(commit.operation,
                                    std::move(mma.knowledge));
  } else {
    commit.tracked = true;
    commit.operation = monitor.detector().beginAsync(
        monitor.agent(firstWarp), std::move(mma.knowledge));
  }
  auto note = [&](const std::vector<uint32_t> &chunks) {
    for (uint32_t address : chunks)
      if (!cta.shared.contains(address, 16))
        return; // perform() reports it
    monitor.asyncChunks(commit.operation, x.warp, mma.pc, chunks,
                        Access::read);
  };
  note(mma.aChunks);
  note(mma.bChunks);
}

void Warpgroup::perform(Mma &mma) {
  mma.performed = true;
  const MmaOperands &operands = mma.operands;
  const WgmmaShape &shape = operands.shape;
  Tile &tile = *mma.tile;
  SharedMemory &shared = cta.shared;
  const unsigned k = shape.k(), n = shape.n;
  aScratch.resize(64 * k);
  bScratch.resize(size_t{k} * n);
  std::vector<uint8_t> badRows = mma.aUndefined, badColumns;
  const float *a = mma.aTile.data();
  auto outside = [&](const Status &status) {
    if (mma.legal && !status.ok()) {
      mma.legal = false;
      cta.report(FindingKind::outOfBounds, cta.warps[firstWarp], mma.pc, ~0u,
                 0, status.message());
    }
  };
  if (mma.legal && !operands.registerA) {
    outside(gatherA(shape, mma.aChunks, shared.at(SharedMemory::base),
                    SharedMemory::base, shared.bytes(), aScratch.data()));
    a = aScratch.data();
  }
  if (mma.legal)
    outside(gatherB(shape, mma.bChunks, shared.at(SharedMemory::base),
                    SharedMemory::base, shared.bytes(), bScratch.data()));
  if (!mma.legal) {
    tile.undefined.assign(tile.values.size(), 1);
    return;
  }
  // An undefined byte of A spoils a row of D, one of B a column. Chunks come in
  // the order of forEachOperandChunk: K-major two for each row of the operand,
  // MN-major all of one k.
  auto spoil = [&](const std::vector<uint32_t> &chunks, WgmmaType type,
                   bool mnMajor, unsigned count, std::vector<uint8_t> &bad) {
    const unsigned elements = 16 / wgmmaElementBytes(type);
    for (unsigned index = 0; index < chunks.size(); ++index) {
      if (!undefinedChunk(shared, chunks[index])) [[likely]]
        continue;
      bad.resize(count);
      if (!mnMajor) {
        bad[index / 2] = 1;
        continue;
      }
      unsigned first = index % (count / elements) * elements;
      std::fill_n(bad.begin() + first, elements, uint8_t{1});
    }
  };
  spoil(mma.aChunks, shape.a, shape.transA, 64, badRows);
  spoil(mma.bChunks, shape.b, shape.transB, n, badColumns);

  const bool eightBit = wgmmaElementBytes(shape.a) == 1;
  const WgmmaModel model =
      eightBit && cta.launch.options.fp8Accumulate == Fp8Accumulate::hopper13
          ? WgmmaModel::hopper13
          : WgmmaModel::exactF32;
  wgmmaCompute(shape, model, a, bScratch.data(), operands.accumulate,
               tile.values.data());
  if (!operands.accumulate)
    tile.undefined.clear();
  if (badRows.empty() && badColumns.empty())
    return;
  tile.undefined.resize(tile.values.size());
  for (unsigned r = 0; r < 64; ++r)
    for (unsigned c = 0; c < n; ++c)
      if ((!badRows.empty() && badRows[r]) ||
          (!badColumns.empty() && badColumns[c]))
        tile.undefined[r * n + c] = 1;
}

void Warpgroup::fence(Exec &x) { states[x.warp.index - firstWarp].fenced = true; }

void Warpgroup::commit(Exec &x) {
  WarpState &state = states[x.warp.index - firstWarp];
  group(state.committed++);
  ++cta.cluster.events;
}

void Warpgroup::storeTiles(Warp &warp, unsigned w, uint64_t end) {
  for (const auto &tile : tiles) {
    if (tile->lastGroup >= end || (tile->stored >> w & 1))
      continue;
    // This warp goes on accumulating where others have not issued yet.
    size_t first = static_cast<size_t>(tile->rows[0]);
    if (warp.tagged[first] && states[w].tags[first].group >= end)
      continue;
    tile->stored |= static_cast<uint8_t>(1u << w);
    const WgmmaShape &shape = tile->shape;
    for (unsigned reg = 0; reg < tile->rows.size(); ++reg) {
      size_t row = static_cast<size_t>(tile->rows[reg]);
      storeAccumulatorRegister(shape, w, reg, tile->values.data(),
                               warp.rows + row * 32);
      uint32_t undefined = 0;
      if (!tile->undefined.empty())
        for (unsigned lane = 0; lane < 32; ++lane)
          for (unsigned e = 0; e < (shape.f16Result ? 2u : 1u); ++e) {
            auto [r, c] = accumulatorElement(
                32 * w + lane, shape.f16Result ? 2 * reg + e : reg);
            undefined |= uint32_t{tile->undefined[r * shape.n + c]} << lane;
          }
      std::fill_n(warp.undef + row * 4, 4, undefined);
    }
  }
  std::erase_if(tiles, [](const auto &tile) { return tile->stored == 0xf; });
}

Flow Warpgroup::wait(Exec &x, uint64_t pending) {
  const unsigned w = x.warp.index - firstWarp;
  WarpState &state = states[w];
  const uint64_t end = state.committed > pending ? state.committed - pending : 0;
  if (end <= state.waited)
    return Flow::next;
  // The groups are those of the warpgroup: they end when all its warps have
  // committed them. commit raises the cluster's events, which this waits for.
  for (const WarpState &other : states)
    if (other.committed < end && state.issued != 0)
      return x.parkLanes(x.mask, Park::event);
  for (Mma &mma : instructions)
    if (mma.group < end && !mma.performed && mma.tile)
      perform(mma);
  storeTiles(x.warp, w, end);
  size_t kept = 0;
  for (uint32_t row : state.taggedRows) {
    if (state.tags[row].group < end) {
      x.warp.tagged[row] = 0;
      --x.warp.taggedRows;
      state.fenced = false;
    } else {
      state.taggedRows[kept++] = row;
    }
  }
  state.taggedRows.resize(kept);
  RaceMonitor *monitor = races();
  for (uint64_t index = state.waited; index < end; ++index) {
    CommitGroup &commit = group(index);
    if (monitor && commit.tracked)
      monitor->detector().acquireAsync(monitor->agent(x.warp.index),
                                       commit.operation);
    commit.waited |= static_cast<uint8_t>(1u << w);
  }
  state.waited = end;
  while (!groups.empty() && groups.front().waited == 0xf) {
    if (monitor && groups.front().tracked)
      monitor->detector().retireAsync(groups.front().operation);
    groups.pop_front();
    ++firstGroup;
  }
  while (!instructions.empty() && instructions.front().performed &&
         instructions.front().warps == 0xf &&
         instructions.front().group < firstGroup) {
    instructions.pop_front();
    ++firstInstruction;
  }
  return Flow::next;
}

void Warpgroup::finish() {
  for (unsigned w = 0; w < 4; ++w) {
    const WarpState &state = states[w];
    if (state.taggedRows.empty())
      continue;
    for (const Mma &mma : instructions) {
      if (mma.group < state.waited || !(mma.warps >> w & 1))
        continue;
      cta.report(FindingKind::unfinishedAsync, cta.warps[firstWarp + w],
                 mma.pc, ~0u, 0,
                 "the warp exits without waiting for its wgmma; "
                 "wgmma.wait_group must come first");
      break;
    }
  }
}

} // namespace hadal::sim
