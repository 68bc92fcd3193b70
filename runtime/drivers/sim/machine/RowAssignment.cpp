// Virtual registers to rows: liveness over the control flow graph, then a scan
// over live intervals.
#include "runtime/drivers/sim/ptx/Parser.h"

#include <algorithm>

namespace hadal::sim {
namespace {

using Bits = std::vector<uint64_t>;

struct Block {
  uint32_t begin = 0, end = 0;
  std::vector<uint32_t> successors;
  Bits liveIn, liveOut;
};

std::vector<Block> splitBlocks(const std::vector<RegisterAccesses> &code) {
  std::vector<bool> leader(code.size() + 1);
  leader[0] = true;
  for (size_t pc = 0; pc < code.size(); ++pc) {
    for (uint32_t target : code[pc].targets)
      leader[std::min<size_t>(target, code.size())] = true;
    if (!code[pc].targets.empty() || !code[pc].fallsThrough)
      leader[pc + 1] = true;
  }
  std::vector<Block> blocks;
  std::vector<uint32_t> blockOf(code.size() + 1);
  for (size_t pc = 0; pc < code.size(); ++pc) {
    if (leader[pc]) {
      blocks.emplace_back();
      blocks.back().begin = pc;
    }
    blocks.back().end = pc + 1;
    blockOf[pc] = blocks.size() - 1;
  }
  for (Block &block : blocks) {
    const RegisterAccesses &last = code[block.end - 1];
    for (uint32_t target : last.targets)
      if (target < code.size())
        block.successors.push_back(blockOf[target]);
    if (last.fallsThrough && block.end < code.size())
      block.successors.push_back(blockOf[block.end]);
  }
  return blocks;
}

void computeLiveness(const std::vector<RegisterAccesses> &code,
                     std::vector<Block> &blocks, size_t words) {
  std::vector<Bits> uses(blocks.size(), Bits(words)), kills = uses;
  auto has = [](const Bits &bits, uint32_t r) {
    return bits[r / 64] >> (r % 64) & 1;
  };
  auto put = [](Bits &bits, uint32_t r) {
    bits[r / 64] |= uint64_t(1) << (r % 64);
  };
  for (size_t b = 0; b < blocks.size(); ++b) {
    blocks[b].liveIn.assign(words, 0);
    blocks[b].liveOut.assign(words, 0);
    for (uint32_t pc = blocks[b].begin; pc < blocks[b].end; ++pc) {
      for (uint32_t r : code[pc].reads)
        if (!has(kills[b], r))
          put(uses[b], r);
      for (uint32_t r : code[pc].writes) {
        // A guarded write keeps the old value in some lanes.
        if (code[pc].guarded && !has(kills[b], r))
          put(uses[b], r);
        else
          put(kills[b], r);
      }
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks.size(); b-- > 0;) {
      Block &block = blocks[b];
      for (uint32_t s : block.successors)
        for (size_t w = 0; w < words; ++w)
          block.liveOut[w] |= blocks[s].liveIn[w];
      for (size_t w = 0; w < words; ++w) {
        uint64_t in = uses[b][w] | (block.liveOut[w] & ~kills[b][w]);
        changed |= in != block.liveIn[w];
        block.liveIn[w] = in;
      }
    }
  }
}

} // namespace

RowAssignment assignRows(const std::vector<RegisterAccesses> &code,
                         const std::vector<uint8_t> &registerBits,
                         const std::vector<bool> &exclusive) {
  size_t registers = registerBits.size();
  RowAssignment result;
  result.row.assign(registers, 0);
  std::vector<uint32_t> first(registers, UINT32_MAX), last(registers, 0);
  auto extend = [&](uint32_t r, uint32_t position) {
    first[r] = std::min(first[r], position);
    last[r] = std::max(last[r], position);
  };
  if (!code.empty()) {
    std::vector<Block> blocks = splitBlocks(code);
    size_t words = (registers + 63) / 64;
    computeLiveness(code, blocks, words);
    auto forBits = [&](const Bits &bits, auto &&f) {
      for (size_t w = 0; w < words; ++w)
        for (uint64_t rest = bits[w]; rest; rest &= rest - 1)
          f(w * 64 + __builtin_ctzll(rest));
    };
    for (const Block &block : blocks) {
      forBits(block.liveIn, [&](uint32_t r) { extend(r, block.begin); });
      forBits(block.liveOut, [&](uint32_t r) { extend(r, block.end - 1); });
      for (uint32_t pc = block.begin; pc < block.end; ++pc) {
        for (uint32_t r : code[pc].reads)
          extend(r, pc);
        for (uint32_t r : code[pc].writes)
          extend(r, pc);
      }
    }
    for (uint32_t r = 0; r < registers; ++r) {
      if (first[r] == UINT32_MAX || !exclusive[r])
        continue;
      first[r] = 0;
      last[r] = code.size();
    }
  }
  std::vector<uint32_t> order;
  for (uint32_t r = 0; r < registers; ++r)
    if (first[r] != UINT32_MAX)
      order.push_back(r);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(first[a], a) < std::pair(first[b], b);
  });
  std::vector<uint32_t> expiry = order;
  std::sort(expiry.begin(), expiry.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(last[a], a) < std::pair(last[b], b);
  });
  std::vector<uint32_t> freeRows[2];
  size_t expired = 0;
  for (uint32_t r : order) {
    // A register that dies at the instruction that starts another one may not
    // share its row: a handler may write before it has read everything.
    while (expired < expiry.size() && last[expiry[expired]] < first[r]) {
      uint32_t dead = expiry[expired++];
      freeRows[registerBits[dead] == 64].push_back(result.row[dead]);
    }
    std::vector<uint32_t> &pool = freeRows[registerBits[r] == 64];
    if (!pool.empty()) {
      result.row[r] = pool.back();
      pool.pop_back();
    } else {
      result.row[r] = result.rows;
      result.rows += registerBits[r] == 64 ? 2 : 1;
    }
  }
  return result;
}

} // namespace hadal::sim
