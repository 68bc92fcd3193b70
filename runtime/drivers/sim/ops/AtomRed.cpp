// atom red: integers and bits. Lanes act in ascending order. Float atomics are
// refused: their result would depend on the order of threads.
#include "runtime/drivers/sim/memory/Access.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

enum class Atomic : uint8_t {
  add, min, max, bitAnd, bitOr, bitXor, exch, cas, inc, dec,
};

template <typename T> T apply(Atomic op, T old, T b, T c) {
  switch (op) {
  case Atomic::add:
    return static_cast<T>(std::make_unsigned_t<T>(old) +
                          std::make_unsigned_t<T>(b));
  case Atomic::min:
    return old < b ? old : b;
  case Atomic::max:
    return old > b ? old : b;
  case Atomic::bitAnd:
    return old & b;
  case Atomic::bitOr:
    return old | b;
  case Atomic::bitXor:
    return old ^ b;
  case Atomic::exch:
    return b;
  case Atomic::cas:
    return old == b ? c : old;
  case Atomic::inc:
    return old >= b ? T(0) : T(old + 1);
  case Atomic::dec:
    return old == 0 || old > b ? b : T(old - 1);
  }
  return old;
}

/// op: 0 d or noOperand, 1 address, 2 b, 3 c or noOperand. sub = Space | wide
/// << 4, aux = Atomic, aux2 = memory order.
template <typename T> Flow atomicHandler(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  uint32_t lanes = laneAddresses(x, i.op[1], i.sub & 16, i.imm, addresses);
  const Slot<T> *b = x.in<T>(i.op[2]);
  const Slot<T> *c = i.op[3] == noOperand ? b : x.in<T>(i.op[3]);
  uint32_t sourceUndef = x.undefLanes<T>(i.op[2]);
  if (i.op[3] != noOperand)
    sourceUndef |= x.undefLanes<T>(i.op[3]);
  Space space = static_cast<Space>(i.sub & 15);
  Atomic op = static_cast<Atomic>(i.aux);
  uint32_t resultUndef = 0;
  Slot<T> results[32] = {};
  constexpr uint16_t full = (1u << sizeof(T)) - 1;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    LaneData data;
    if (!gather(x, 1u << l, addresses, space, sizeof(T), data,
                AccessKind::atomic))
      continue;
    bool oldUndef = !data.allDefined && (data.defined[l] & full) != full;
    T old;
    std::memcpy(&old, data.bytes[l], sizeof old);
    T value = apply<T>(op, old, fromSlot<T>(b[l]), fromSlot<T>(c[l]));
    results[l] = toSlot<T>(old);
    resultUndef |= uint32_t(oldUndef) << l;
    LaneData store;
    std::memcpy(store.bytes[l], &value, sizeof value);
    bool undefined = (sourceUndef >> l & 1) || (oldUndef && op != Atomic::exch);
    store.allDefined = !undefined;
    store.defined[l] = undefined ? 0 : full;
    scatter(x, 1u << l, addresses, space, sizeof(T), store, AccessKind::atomic);
    if (x.cta.globalMonitor &&
        (space == Space::global || space == Space::generic))
      x.cta.globalMonitor->synchronise(x, 1u << l, addresses, true, true,
                                       static_cast<uint8_t>(i.aux2));
  }
  if (i.op[0] != noOperand) {
    Slot<T> *d = x.out<T>(i.op[0]);
    forLanes(x.mask, [&](unsigned l) { d[l] = results[l]; });
    x.setUndef<T>(i.op[0], resultUndef);
  }
  return Flow::next;
}

} // namespace

Status decodeAtomic(DecodeContext &c) {
  bool returns = c.parsed.opcode == "atom";
  if (c.take("async"))
    return c.refuse("red.async is not modelled");
  static constexpr uint8_t orders[] = {0, order::acquire, order::release,
                                       order::acquire | order::release};
  int memoryOrder = c.takeOne({"relaxed", "acquire", "release", "acq_rel"});
  int scope = c.takeOne({"cta", "cluster", "gpu", "sys"});
  // The default is .relaxed.gpu.
  c.out.aux2 = order::strong | (memoryOrder < 0 ? 0 : orders[memoryOrder]) |
               (scope < 0 || scope >= 2 ? order::wide : 0);
  int space = c.takeOne({"global", "shared::cluster", "shared::cta", "shared"});
  c.out.sub = static_cast<uint8_t>(space < 0    ? Space::generic
                                   : space == 0 ? Space::global
                                   : space == 1 ? Space::sharedCluster
                                                : Space::shared);
  if (space <= 0)
    c.kernel.ordersGlobal = true;
  int op = c.takeOne({"add", "min", "max", "and", "or", "xor", "exch", "cas",
                      "inc", "dec"});
  if (op < 0)
    return c.refuse("needs an operation");
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  if (isFloat(type))
    return c.refuse("float atomics are refused: the result depends on the "
                    "order of threads");
  switch (type) {
  case Type::u32:
  case Type::b32:
    c.out.handler = atomicHandler<uint32_t>;
    break;
  case Type::s32:
    c.out.handler = atomicHandler<int32_t>;
    break;
  case Type::u64:
  case Type::b64:
    c.out.handler = atomicHandler<uint64_t>;
    break;
  case Type::s64:
    c.out.handler = atomicHandler<int64_t>;
    break;
  default:
    return c.refuse("this type is not modelled");
  }
  c.out.aux = op;
  bool cas = op == static_cast<int>(Atomic::cas);
  if (!returns && (cas || op == static_cast<int>(Atomic::exch)))
    return c.refuse("red has no such operation");
  HADAL_RETURN_IF_ERROR(
      c.expectOperands(2 + returns + cas, 2 + returns + cas));
  if (returns && c.operand(0).kind != ParsedOperand::sink) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
  }
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address address, c.address(returns));
  if (static_cast<Space>(c.out.sub) == Space::generic)
    c.out.sub = static_cast<uint8_t>(address.space);
  c.out.op[1] = address.base;
  c.out.imm = address.offset;
  c.out.sub |= address.wide ? 16 : 0;
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(1 + returns, type));
  if (cas) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(2 + returns, type));
  }
  return c.finish();
}

} // namespace hadal::sim
