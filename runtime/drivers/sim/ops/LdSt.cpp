// ld st cvta isspacep.
#include "runtime/drivers/sim/memory/Access.h"
#include "runtime/drivers/sim/memory/FastAccess.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

/// Packed into Instruction: op[0] base, imm offset, sub = Space | wide << 4 |
/// strong << 5, aux = element bytes | sign << 8, aux2 = memory order (namespace
/// order), list = the registers.
constexpr uint8_t flagWide = 16, flagStrong = 32;

/// A strong access that may order others.
void synchronise(Exec &x, const Instruction &i, uint32_t lanes,
                 const uint64_t *addresses, bool loads) {
  Space space = static_cast<Space>(i.sub & 15);
  if (x.cta.globalMonitor && (space == Space::global || space == Space::generic))
    x.cta.globalMonitor->synchronise(x, lanes, addresses, loads, !loads,
                                     static_cast<uint8_t>(i.aux2));
}

template <typename D> Flow loadHandler(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  LaneData data;
  unsigned element = i.aux & 255, count = i.listSize;
  unsigned bytes = element * count;
  uint32_t lanes =
      laneAddresses(x, i.op[0], i.sub & flagWide, i.imm, addresses);
  gather(x, lanes, addresses, static_cast<Space>(i.sub & 15), bytes, data,
         i.sub & flagStrong ? AccessKind::strongRead : AccessKind::read);
  if (i.sub & flagStrong) [[unlikely]]
    synchronise(x, i, lanes, addresses, true);
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  bool sign = i.aux >> 8;
  for (unsigned e = 0; e < count; ++e) {
    Slot<D> *d = x.out<D>(list[e]);
    unsigned at = e * element;
    if (element == sizeof(D)) {
      forLanes(lanes, [&](unsigned l) {
        std::memcpy(&d[l], data.bytes[l] + at, sizeof(D));
      });
    } else {
      unsigned shift = 64 - 8 * element;
      for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        unsigned l = std::countr_zero(rest);
        uint64_t value = 0;
        std::memcpy(&value, data.bytes[l] + at, element);
        if (sign)
          value = static_cast<uint64_t>(
              static_cast<int64_t>(value << shift) >> shift);
        d[l] = static_cast<Slot<D>>(value);
      }
    }
    x.setUndef<D>(list[e], 0);
    // Bytes that a value is extended by are defined zeros, or copies of the
    // sign and as undefined as the byte that has it.
    if (!data.allDefined) {
      uint32_t *v = x.undefOut(list[e]);
      for (uint32_t rest = lanes; rest; rest &= rest - 1) {
        unsigned l = std::countr_zero(rest);
        for (unsigned b = 0; b < sizeof(D); ++b) {
          unsigned from = b < element ? b : element - 1;
          if (b >= element && !sign)
            continue;
          if (!(data.defined[l] >> (at + from) & 1))
            v[b] |= 1u << l;
        }
      }
    }
  }
  return Flow::next;
}

Flow storeHandler(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  LaneData data;
  unsigned element = i.aux & 255, count = i.listSize;
  uint32_t lanes =
      laneAddresses(x, i.op[0], i.sub & flagWide, i.imm, addresses);
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  uint32_t undefined = 0;
  for (unsigned e = 0; e < count; ++e) {
    const uint32_t *u = x.undef(list[e]);
    for (unsigned b = 0; b < element; ++b)
      undefined |= u[b];
    unsigned at = e * element;
    if (element == 8) {
      const uint64_t *a = x.in<uint64_t>(list[e]);
      forLanes(lanes,
               [&](unsigned l) { std::memcpy(data.bytes[l] + at, &a[l], 8); });
    } else if (element == 4) {
      const uint32_t *a = x.in<uint32_t>(list[e]);
      forLanes(lanes,
               [&](unsigned l) { std::memcpy(data.bytes[l] + at, &a[l], 4); });
    } else { // the low bytes of a slot, which come first
      const uint8_t *a = reinterpret_cast<const uint8_t *>(
          x.in<uint32_t>(list[e]));
      unsigned stride = i.aux >> 8;
      forLanes(lanes, [&](unsigned l) {
        std::memcpy(data.bytes[l] + at, a + l * stride, element);
      });
    }
  }
  if (undefined & lanes) {
    data.allDefined = false;
    for (unsigned l = 0; l < 32; ++l)
      data.defined[l] = 0xFFFF;
    for (unsigned e = 0; e < count; ++e) {
      const uint32_t *u = x.undef(list[e]);
      for (unsigned b = 0; b < element; ++b)
        for (uint32_t rest = u[b] & lanes; rest; rest &= rest - 1)
          data.defined[std::countr_zero(rest)] &=
              ~(uint16_t(1) << (e * element + b));
    }
  }
  scatter(x, lanes, addresses, static_cast<Space>(i.sub & 15),
          element * count, data,
          i.sub & flagStrong ? AccessKind::atomic : AccessKind::write);
  if (i.sub & flagStrong) [[unlikely]]
    synchronise(x, i, lanes, addresses, false);
  return Flow::next;
}

/// Weak loads and stores of 32-bit words in shared or global memory: full warps
/// take the fast path, everything else the one above.
bool ordinaryAddress(Exec &x, const Instruction &i) {
  return x.mask == ~0u && !(i.sub & flagWide ? x.undefLanes<uint64_t>(i.op[0])
                                             : x.undefLanes<uint32_t>(i.op[0]));
}

template <unsigned Count> Flow loadWords(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  if (ordinaryAddress(x, i) &&
      laneAddresses(x, i.op[0], i.sub & flagWide, i.imm, addresses) &&
      fastLoad<Count>(x, static_cast<Space>(i.sub & 15), addresses,
                      x.cta.kernel.lists.data() + i.list))
    return Flow::next;
  return loadHandler<uint32_t>(x, i);
}
template <unsigned Count> Flow storeWords(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  uint32_t undefined = 0;
  for (unsigned e = 0; e < Count; ++e)
    undefined |= x.undefLanes<uint32_t>(list[e]);
  if (!undefined && ordinaryAddress(x, i) &&
      laneAddresses(x, i.op[0], i.sub & flagWide, i.imm, addresses) &&
      fastStore<Count>(x, static_cast<Space>(i.sub & 15), addresses, list))
    return Flow::next;
  return storeHandler(x, i);
}

/// op[0] d, op[1] a, imm = bits to add (to generic) or to strip.
template <bool toGeneric> Flow convertAddress(Exec &x, const Instruction &i) {
  const uint64_t *a = x.in<uint64_t>(i.op[1]);
  uint32_t undefined = x.undefLanes<uint64_t>(i.op[1]);
  uint64_t *d = x.out<uint64_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = toGeneric ? a[l] | static_cast<uint64_t>(i.imm)
                     : a[l] & ~static_cast<uint64_t>(i.imm);
  });
  x.setUndef<uint64_t>(i.op[0], undefined);
  return Flow::next;
}

Flow isSpace(Exec &x, const Instruction &i) {
  const uint64_t *a = x.in<uint64_t>(i.op[1]);
  uint32_t lanes = 0;
  for (unsigned l = 0; l < 32; ++l) {
    uint64_t address = a[l];
    lanes |= uint32_t(resolveGeneric(address) == static_cast<Space>(i.sub))
             << l;
  }
  x.setPredicate(i.op[0], lanes, x.undefLanes<uint64_t>(i.op[1]));
  return Flow::next;
}

/// op[0] d, op[1] address, op[2] rank; generic addresses keep their window.
template <typename T> Flow mapAddress(Exec &x, const Instruction &i) {
  const Slot<T> *a = x.in<T>(i.op[1]);
  const uint32_t *rank = x.in<uint32_t>(i.op[2]);
  uint32_t undefined =
      x.undefLanes<T>(i.op[1]) | x.undefLanes<uint32_t>(i.op[2]);
  constexpr Slot<T> rankMask = Slot<T>(0xFF) << SharedMemory::rankShift;
  Slot<T> *d = x.out<T>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = (a[l] & ~rankMask) |
           Slot<T>(rank[l] + 1) << SharedMemory::rankShift;
  });
  x.setUndef<T>(i.op[0], undefined);
  return Flow::next;
}

template <typename T> Flow rankOfAddress(Exec &x, const Instruction &i) {
  const Slot<T> *a = x.in<T>(i.op[1]);
  uint32_t undefined = x.undefLanes<T>(i.op[1]);
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    uint32_t rank = a[l] >> SharedMemory::rankShift & 0xFF;
    d[l] = rank ? rank - 1 : x.cta.rank;
  });
  x.setUndef<uint32_t>(i.op[0], undefined);
  return Flow::next;
}

StatusOr<Space> takeSpace(DecodeContext &c) {
  struct Named {
    std::string_view name;
    Space space;
  };
  static constexpr Named names[] = {
      {"global", Space::global},
      {"shared::cluster", Space::sharedCluster},
      {"shared::cta", Space::shared},
      {"shared", Space::shared},
      {"local", Space::local},
      {"param::entry", Space::param},
      {"param", Space::param},
      {"const", Space::constant}};
  for (const Named &n : names)
    if (c.take(n.name))
      return n.space;
  return Space::generic;
}

/// Takes .weak, .volatile, .relaxed.scope, ...: the memory order (namespace
/// order), 0 for a weak access.
StatusOr<uint8_t> takeOrder(DecodeContext &c, bool load) {
  if (c.take("weak"))
    return uint8_t{0};
  if (c.take("volatile"))
    return static_cast<uint8_t>(order::strong | order::wide);
  bool ordered = c.take(load ? "acquire" : "release");
  bool strong = c.take("relaxed") || ordered;
  int scope = c.takeOne({"cta", "cluster", "gpu", "sys"});
  if (strong != (scope >= 0))
    return c.refuse("a scope and a memory order go together");
  if (!strong)
    return uint8_t{0};
  return static_cast<uint8_t>(order::strong | (scope >= 2 ? order::wide : 0) |
                              (!ordered ? 0
                               : load   ? order::acquire
                                        : order::release));
}

Status decodeAccess(DecodeContext &c, bool load) {
  HADAL_ASSIGN_OR_RETURN(Space space, takeSpace(c));
  HADAL_ASSIGN_OR_RETURN(uint8_t memoryOrder, takeOrder(c, load));
  if (load)
    c.take("nc");
  c.dropCacheHints();
  bool policy = c.take("L2::cache_hint");
  int vector = c.takeOne({"v2", "v4"});
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  unsigned count = vector < 0 ? 1 : vector == 0 ? 2 : 4;
  unsigned element = bytesOf(type);
  if (type == Type::pred || element > 8 || element * count > 16)
    return c.refuse("this type is not modelled");
  HADAL_RETURN_IF_ERROR(c.expectOperands(2 + policy, 2 + policy));
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address address,
                         c.address(load ? 1 : 0));
  if (space == Space::generic && address.space != Space::generic)
    space = address.space;
  if (memoryOrder && (space == Space::global || space == Space::generic))
    c.kernel.ordersGlobal = true;
  c.out.op[0] = address.base;
  c.out.imm = address.offset;
  c.out.sub = static_cast<uint8_t>(space) | (address.wide ? flagWide : 0) |
              (memoryOrder ? flagStrong : 0);
  c.out.aux2 = memoryOrder;
  const ParsedOperand &value = c.operand(load ? 0 : 1);
  std::vector<const ParsedOperand *> elements;
  if (value.kind == ParsedOperand::vector)
    for (const ParsedOperand &e : value.elements)
      elements.push_back(&e);
  else
    elements.push_back(&value);
  if (elements.size() != count)
    return c.refuse("the vector has another number of elements");
  // A register may be wider than the type: the widest decides the slot.
  unsigned slot = DecodeContext::slotBits(type);
  for (const ParsedOperand *e : elements)
    if (e->kind == ParsedOperand::registerRow)
      slot = std::max(slot, DecodeContext::declaredBits(*e));
  Type slotType = slot == 64 ? Type::b64 : element == 2 && isFloat(type)
                                               ? type
                                               : Type::b32;
  if (load) {
    c.out.handler = slot == 64 ? loadHandler<uint64_t> : loadHandler<uint32_t>;
    c.out.aux = element | (isSigned(type) ? 256 : 0);
    for (const ParsedOperand *e : elements) {
      HADAL_ASSIGN_OR_RETURN(Operand operand, c.destination(*e, slotType));
      c.append(operand);
    }
  } else {
    c.out.handler = storeHandler;
    c.out.aux = element | (slot / 8) << 8;
    for (const ParsedOperand *e : elements) {
      Type sourceType =
          e->kind == ParsedOperand::registerRow || slot == 64 ? slotType : type;
      HADAL_ASSIGN_OR_RETURN(Operand operand, c.source(*e, sourceType));
      c.append(operand);
    }
  }
  if (slot == 32 && element == 4 && !memoryOrder &&
      (space == Space::shared || space == Space::global)) {
    static constexpr Handler loads[] = {loadWords<1>, loadWords<2>,
                                        loadWords<4>};
    static constexpr Handler stores[] = {storeWords<1>, storeWords<2>,
                                         storeWords<4>};
    c.out.handler = (load ? loads : stores)[vector + 1];
  }
  return c.finish();
}

} // namespace

Status decodeLoad(DecodeContext &c) { return decodeAccess(c, true); }
Status decodeStore(DecodeContext &c) { return decodeAccess(c, false); }

Status decodeClusterAddress(DecodeContext &c) {
  c.take("shared::cluster");
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  if (type != Type::u32 && type != Type::u64)
    return c.refuse("this type is not modelled");
  bool wide = type == Type::u64;
  bool map = c.parsed.opcode == "mapa";
  // getctarank.u32 d, a: the address may have 64 bits.
  if (!map && c.count() == 2 &&
      c.operand(1).kind == ParsedOperand::registerRow)
    wide = c.operand(1).bits == 64;
  Type address = wide ? Type::u64 : Type::u32;
  HADAL_RETURN_IF_ERROR(c.expectOperands(2 + map, 2 + map));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, address));
  if (map) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, address));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::u32));
    c.out.handler = wide ? mapAddress<uint64_t> : mapAddress<uint32_t>;
  } else {
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::u32));
    c.out.handler = wide ? rankOfAddress<uint64_t> : rankOfAddress<uint32_t>;
  }
  return c.finish();
}

Status decodeAddressConvert(DecodeContext &c) {
  bool to = c.take("to");
  HADAL_ASSIGN_OR_RETURN(Space space, takeSpace(c));
  if (space == Space::generic)
    return c.refuse("needs a space");
  bool isSpacep = c.parsed.opcode == "isspacep";
  if (!isSpacep) {
    HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
    if (type != Type::u64)
      return c.refuse("only .u64 is modelled");
  }
  HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, Type::u64));
  if (isSpacep) {
    c.out.sub = static_cast<uint8_t>(space == Space::sharedCluster
                                         ? Space::shared
                                         : space);
    c.out.handler = isSpace;
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destinationPredicate(0));
    return c.finish();
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::u64));
  c.out.imm = space == Space::shared || space == Space::sharedCluster
                  ? window::shared
              : space == Space::local ? window::local
              : space == Space::param ? window::param
                                      : 0;
  if (to)
    c.out.imm = c.out.imm ? static_cast<int64_t>(window::mask) : 0;
  c.out.handler = to ? convertAddress<false> : convertAddress<true>;
  return c.finish();
}

} // namespace hadal::sim
