// cp.async: copies of 4, 8 or 16 bytes a thread from global to shared memory,
// and their groups.
#include <fmt/format.h>

#include "runtime/drivers/sim/memory/Access.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

/// The lanes of one cp.async instruction.
class LaneCopy final : public AsyncOperation {
public:
  LaneCopy(unsigned warp, uint32_t pc, uint32_t lanes, unsigned bytes)
      : warp(warp), pc(pc), lanes(lanes), bytes(bytes) {}

  void perform(Cta &cta) override {
    Exec x(cta, cta.warps[warp]);
    x.pc = pc;
    x.mask = lanes;
    LaneData data;
    uint32_t copied = 0;
    // Lanes with fewer source bytes (the rest is zero) go one by one.
    uint32_t whole = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      unsigned l = std::countr_zero(rest);
      whole |= uint32_t(sourceBytes[l] == bytes) << l;
    }
    if (whole)
      copied = gather(x, whole, from, Space::global, bytes, data);
    if (!data.allDefined)
      for (uint32_t rest = lanes & ~whole; rest; rest &= rest - 1)
        data.defined[std::countr_zero(rest)] = 0xFFFF;
    for (uint32_t rest = lanes & ~whole; rest; rest &= rest - 1) {
      unsigned l = std::countr_zero(rest);
      std::memset(data.bytes[l], 0, sizeof data.bytes[l]);
      data.defined[l] = 0xFFFF;
      for (unsigned b = 0; b < sourceBytes[l]; ++b) {
        LaneData one;
        uint64_t address[32];
        address[l] = from[l] + b;
        if (!gather(x, 1u << l, address, Space::global, 1, one))
          break;
        data.bytes[l][b] = one.bytes[l][0];
        if (!one.allDefined) {
          if (data.allDefined)
            for (uint32_t r = lanes; r; r &= r - 1)
              data.defined[std::countr_zero(r)] = 0xFFFF;
          data.allDefined = false;
          data.defined[l] &= ~(1u << b);
        }
      }
      copied |= 1u << l;
    }
    scatter(x, copied, to, Space::shared, bytes, data);
  }
  const char *what() const override { return "cp.async"; }

  uint64_t from[32], to[32];
  uint8_t sourceBytes[32];

private:
  unsigned warp;
  uint32_t pc, lanes;
  unsigned bytes;
};

/// op: 0 dst, 1 src, 2 source bytes or noOperand. imm = offsets: dst low, src
/// high 32 bits. aux = bytes, sub: 1 dst wide, 2 src wide.
Flow copyHandler(Exec &x, const Instruction &i) {
  auto copy = std::make_unique<LaneCopy>(x.warp.index, x.pc, x.mask, i.aux);
  uint32_t lanes = laneAddresses(x, i.op[0], i.sub & 1,
                                 static_cast<int32_t>(i.imm), copy->to) &
                   laneAddresses(x, i.op[1], i.sub & 2,
                                 static_cast<int32_t>(i.imm >> 32), copy->from);
  const uint32_t *count =
      i.op[2] == noOperand ? nullptr : x.in<uint32_t>(i.op[2]);
  for (unsigned l = 0; l < 32; ++l)
    copy->sourceBytes[l] = count ? std::min<uint32_t>(count[l], i.aux) : i.aux;
  if (lanes != x.mask)
    return Flow::next;
  if (x.cta.launch.options.policy == AsyncPolicy::lazy) {
    // Whoever reads the destination before the wait reads undefined bytes.
    SharedMemory &shared = x.cta.shared;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      unsigned l = std::countr_zero(rest);
      if (copy->to[l] <= UINT32_MAX &&
          shared.contains(static_cast<uint32_t>(copy->to[l]), i.aux))
        std::memset(shared.definedAt(copy->to[l]), 0, i.aux);
    }
  }
  AsyncQueue::Ticket ticket = x.cta.async.issue(std::move(copy));
  if (!x.warp.copyGroups)
    x.warp.copyGroups = std::make_unique<CommitGroups[]>(32);
  for (uint32_t rest = lanes; rest; rest &= rest - 1)
    x.warp.copyGroups[std::countr_zero(rest)].add(ticket);
  return Flow::next;
}

/// sub: 0 commit_group, 1 wait_group imm, 2 wait_all.
Flow groupHandler(Exec &x, const Instruction &i) {
  if (!x.warp.copyGroups)
    x.warp.copyGroups = std::make_unique<CommitGroups[]>(32);
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    CommitGroups &groups = x.warp.copyGroups[std::countr_zero(rest)];
    if (i.sub == 0)
      groups.commit();
    else if (i.sub == 1)
      groups.wait(x.cta.async, i.imm);
    else
      groups.waitAll(x.cta.async);
  }
  return Flow::next;
}

} // namespace

Status decodeCopy(DecodeContext &c) {
  for (const std::string &modifier : c.parsed.modifiers)
    if (modifier == "bulk")
      return decodeBulkCopy(c);
  if (!c.take("async"))
    return c.refuse("this copy is not modelled");
  if (c.take("mbarrier"))
    return decodeCopyArrive(c);
  int group = c.takeOne({"commit_group", "wait_group", "wait_all"});
  if (group >= 0) {
    c.out.sub = group;
    c.out.handler = groupHandler;
    HADAL_RETURN_IF_ERROR(c.expectOperands(group == 1, group == 1));
    if (group == 1) {
      HADAL_ASSIGN_OR_RETURN(c.out.imm, c.immediate(0));
      if (c.out.imm < 0)
        return c.refuse("a negative number of groups");
    }
    return c.finish();
  }
  int level = c.takeOne({"ca", "cg"});
  c.dropCacheHints();
  bool policy = c.take("L2::cache_hint");
  int space = c.takeOne({"shared::cta", "shared"});
  if (level < 0 || space < 0 || !c.take("global"))
    return c.refuse("needs .ca or .cg and .shared.global");
  HADAL_RETURN_IF_ERROR(c.expectOperands(3 + policy, 4 + policy));
  HADAL_ASSIGN_OR_RETURN(int64_t bytes, c.immediate(2));
  if (bytes != 16 && (level == 1 || (bytes != 4 && bytes != 8)))
    return c.refuse("the size must be 16, or with .ca 4 or 8");
  c.out.aux = bytes;
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address to, c.address(0));
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address from, c.address(1));
  if (to.offset != static_cast<int32_t>(to.offset) ||
      from.offset != static_cast<int32_t>(from.offset))
    return c.refuse("the offset is over 32 bits");
  c.out.op[0] = to.base;
  c.out.op[1] = from.base;
  c.out.imm = static_cast<int64_t>(static_cast<uint32_t>(to.offset)) |
              static_cast<int64_t>(static_cast<uint64_t>(from.offset) << 32);
  c.out.sub = (to.wide ? 1 : 0) | (from.wide ? 2 : 0);
  if (c.count() == 4u + policy) {
    if (c.operand(3).kind == ParsedOperand::predicate)
      return c.refuse("the ignore-src operand is not modelled");
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(3, Type::u32));
  }
  c.out.handler = copyHandler;
  return c.finish();
}

} // namespace hadal::sim
