// mapa, getctarank: addresses in the CTAs of a cluster.
#include "runtime/drivers/sim/Access.h"
#include "runtime/drivers/sim/Handlers.h"

namespace hadal::sim {
namespace {

constexpr uint64_t offsetMask = (uint64_t(1) << SharedMemory::rankShift) - 1;

/// op[0] out, op[1] address, op[2] rank; sub: 1 = generic addresses.
template <typename T> Flow mapAddress(Exec &x, const Instruction &i) {
  const Slot<T> *from = x.in<T>(i.op[1]);
  const uint32_t *rank = x.in<uint32_t>(i.op[2]);
  Slot<T> *to = x.out<T>(i.op[0]);
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    if (rank[lane] >= x.cta.cluster.ctas.size())
      x.report(FindingKind::outOfBounds, 1u << lane, from[lane],
               fmt::format("rank {} in a cluster of {} CTAs", rank[lane],
                           x.cta.cluster.ctas.size()));
    uint64_t value = (from[lane] & offsetMask) |
                     (uint64_t(rank[lane]) + 1) << SharedMemory::rankShift;
    if (i.sub)
      value |= window::shared;
    to[lane] = static_cast<Slot<T>>(value);
  }
  x.setUndef<T>(i.op[0],
                x.undefLanes<T>(i.op[1]) | x.undefLanes<uint32_t>(i.op[2]));
  return Flow::next;
}

/// op[0] out, op[1] address.
template <typename T> Flow rankOf(Exec &x, const Instruction &i) {
  const Slot<T> *from = x.in<T>(i.op[1]);
  uint32_t *to = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned lane) {
    uint64_t address = from[lane];
    if (i.sub)
      address &= ~window::mask;
    auto rank = static_cast<uint32_t>(address >> SharedMemory::rankShift);
    to[lane] = rank ? rank - 1 : x.cta.rank;
  });
  x.setUndef<uint32_t>(i.op[0], x.undefLanes<T>(i.op[1]));
  return Flow::next;
}

} // namespace

Status decodeClusterAddress(DecodeContext &c) {
  const bool maps = c.parsed.opcode == "mapa";
  c.out.sub = c.take("shared::cluster") ? 0 : 1;
  if (maps) {
    int width = c.takeOne({"u32", "u64"});
    if (width < 0 || (width == 0 && c.out.sub))
      return c.refuse("needs .u32 or .u64; generic addresses have 64 bits");
    Type type = width ? Type::u64 : Type::u32;
    HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::u32));
    c.out.handler = width ? mapAddress<uint64_t> : mapAddress<uint32_t>;
    return c.finish();
  }
  if (!c.take("u32"))
    return c.refuse("needs .u32");
  HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::u32));
  const bool wide = DecodeContext::declaredBits(c.operand(1)) == 64;
  HADAL_ASSIGN_OR_RETURN(c.out.op[1],
                         c.source(1, wide ? Type::u64 : Type::u32));
  c.out.handler = wide ? rankOf<uint64_t> : rankOf<uint32_t>;
  return c.finish();
}

} // namespace hadal::sim
