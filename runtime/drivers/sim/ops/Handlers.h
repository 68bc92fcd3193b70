// Shapes that many handlers share.
#pragma once

#include <cmath>
#include <limits>

#include "runtime/drivers/sim/machine/Exec.h"
#include "runtime/drivers/sim/ptx/Decoder.h"
#include "runtime/drivers/sim/ptx/Opcodes.h"

namespace hadal::sim {

inline constexpr uint32_t canonicalNan32 = 0x7FFFFFFF;

/// A NaN result of an f32 instruction is 0x7FFFFFFF.
[[gnu::always_inline]] inline uint32_t canonicalSlot(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits & 0x7FFFFFFF) > 0x7F800000 ? canonicalNan32 : bits;
}
[[gnu::always_inline]] inline float flushed(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>(bits & 0x7F800000 ? bits : bits & 0x80000000);
}
/// .sat: to [0, 1], NaN to +0.
[[gnu::always_inline]] inline float saturated(float value) {
  return value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
}

/// d = Op(a), all slots as T; any undefined byte makes d undefined.
template <typename T, typename Op>
Flow unaryHandler(Exec &x, const Instruction &i) {
  Slot<T> *d = x.out<T>(i.op[0]);
  const Slot<T> *a = x.in<T>(i.op[1]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = toSlot<T>(Op{}(fromSlot<T>(a[l])));
  });
  x.setUndef<T>(i.op[0], x.undefLanes<T>(i.op[1]));
  return Flow::next;
}

template <typename T, typename Op>
Flow binaryHandler(Exec &x, const Instruction &i) {
  Slot<T> *d = x.out<T>(i.op[0]);
  const Slot<T> *a = x.in<T>(i.op[1]);
  const Slot<T> *b = x.in<T>(i.op[2]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = toSlot<T>(Op{}(fromSlot<T>(a[l]), fromSlot<T>(b[l])));
  });
  x.setUndef<T>(i.op[0],
                x.undefLanes<T>(i.op[1]) | x.undefLanes<T>(i.op[2]));
  return Flow::next;
}

/// The handler H<T> for the integer or bit type |type|, or nullptr.
template <template <typename> class H> Handler forInteger(Type type) {
  switch (type) {
  case Type::u16:
  case Type::b16:
    return H<uint16_t>::run;
  case Type::s16:
    return H<int16_t>::run;
  case Type::u32:
  case Type::b32:
    return H<uint32_t>::run;
  case Type::s32:
    return H<int32_t>::run;
  case Type::u64:
  case Type::b64:
    return H<uint64_t>::run;
  case Type::s64:
    return H<int64_t>::run;
  default:
    return nullptr;
  }
}

/// Decodes `d, a, b, ...` with one type for all |sources|.
inline Status decodeOperands(DecodeContext &c, Type type, unsigned sources) {
  HADAL_RETURN_IF_ERROR(c.expectOperands(sources + 1, sources + 1));
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
  for (unsigned s = 1; s <= sources; ++s) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[s], c.source(s, type));
  }
  return c.finish();
}

/// Type of an instruction that must name one.
inline StatusOr<Type> requireType(DecodeContext &c) {
  if (std::optional<Type> type = c.takeType())
    return *type;
  return c.refuse("no type that is modelled");
}

} // namespace hadal::sim
