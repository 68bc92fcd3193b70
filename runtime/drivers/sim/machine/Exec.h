// What an instruction handler sees: one warp, the executing lanes, and typed
// access to registers.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

#include "runtime/drivers/sim/machine/Cta.h"

namespace hadal::sim {

/// Register slot of a value of type T: 32 bits up to 4 bytes, else 64.
template <typename T>
using Slot = std::conditional_t<(sizeof(T) > 4), uint64_t, uint32_t>;

template <typename T> inline T fromSlot(Slot<T> slot) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(slot);
  else
    return std::bit_cast<T>(slot);
}
template <typename T> inline Slot<T> toSlot(T value) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<Slot<T>>(static_cast<std::make_unsigned_t<T>>(value));
  else
    return std::bit_cast<Slot<T>>(value);
}

/// Calls f(lane) for each lane of |mask|; lanes must be independent.
template <typename F>
[[gnu::always_inline]] inline void forLanes(uint32_t mask, F &&f) {
  if (mask == ~0u) {
#pragma clang loop vectorize(assume_safety)
    for (unsigned lane = 0; lane < 32; ++lane)
      f(lane);
  } else {
    for (uint32_t rest = mask; rest; rest &= rest - 1)
      f(static_cast<unsigned>(std::countr_zero(rest)));
  }
}

class Exec {
public:
  Exec(Cta &cta, Warp &warp) : cta(cta), warp(warp) {
    constants = cta.launch.constants.data();
    rows = warp.rows;
  }

  Cta &cta;
  Warp &warp;
  uint32_t mask = 0; ///< executing lanes: the group's, minus a false guard
  uint32_t pc = 0;   ///< of the instruction being executed

  // ---- Registers ------------------------------------------------------

  /// The 32 slots of operand |op|: a row of a register, or (negative) of a
  /// constant. A destination may be a source as well: a handler whose lanes
  /// read each other keeps its results apart until all have read.
  template <typename T> const Slot<T> *in(Operand op) const {
    if (op >= 0)
      return reinterpret_cast<const Slot<T> *>(rows + size_t(op) * 32);
    return reinterpret_cast<const Slot<T> *>(constants + size_t(~op) * 32);
  }
  template <typename T> Slot<T> *out(Operand op) {
    return reinterpret_cast<Slot<T> *>(rows + size_t(op) * 32);
  }
  /// The undef words of |op|: one per byte (4, or 8 for 64 bits).
  const uint32_t *undef(Operand op) const {
    return op >= 0 ? warp.undef + size_t(op) * 4 : definedWords;
  }
  uint32_t *undefOut(Operand op) { return warp.undef + size_t(op) * 4; }
  /// Lanes in which any byte of |op| is undefined.
  template <typename T> uint32_t undefLanes(Operand op) const {
    const uint32_t *u = undef(op);
    uint32_t any = u[0] | u[1] | u[2] | u[3];
    if constexpr (sizeof(T) > 4)
      any |= u[4] | u[5] | u[6] | u[7];
    return any;
  }
  /// Sets all bytes of |op| undefined in the lanes of |lanes| and defined in
  /// the other executing lanes.
  template <typename T> void setUndef(Operand op, uint32_t lanes) {
    uint32_t *u = undefOut(op);
    for (unsigned b = 0; b < (sizeof(T) > 4 ? 8 : 4); ++b)
      u[b] = (u[b] & ~mask) | (lanes & mask);
  }
  /// Byte n of |op| becomes undefined in the executing lanes that words[n]
  /// names and defined in the others. |words| may be the undef words of a
  /// source.
  template <typename T> void setUndefBytes(Operand op, const uint32_t *words) {
    uint32_t *u = undefOut(op);
    for (unsigned n = 0; n < sizeof(Slot<T>); ++n)
      u[n] = (u[n] & ~mask) | (words[n] & mask);
  }
  /// Lanes in which source predicate |op| (predicateOperand) is true.
  uint32_t predicate(Operand op) const {
    uint32_t word = warp.preds[op >> 1];
    return op & 1 ? ~word : word;
  }
  uint32_t predicateUndef(Operand op) const { return warp.predUndef[op >> 1]; }
  void setPredicate(unsigned index, uint32_t lanes, uint32_t undefined) {
    warp.preds[index] = (warp.preds[index] & ~mask) | (lanes & mask);
    warp.predUndef[index] = (warp.predUndef[index] & ~mask) | (undefined & mask);
  }

  /// The value of |op| in the first executing lane, for operands that the ISA
  /// wants uniform.
  template <typename T> T uniform(Operand op) const {
    return fromSlot<T>(in<T>(op)[std::countr_zero(mask)]);
  }

  // ---- Control --------------------------------------------------------

  /// Parks |lanes| of the running group at this instruction; they execute it
  /// again when |park| allows. Returns what the handler must return.
  Flow parkLanes(uint32_t lanes, Park park, uint32_t mbarrier = 0);
  /// True if all live lanes of |members| execute this instruction now. If
  /// not, the executing lanes are parked until the others come; the handler
  /// must then return |flow|.
  bool converge(uint32_t members, Flow &flow);
  /// Ends |lanes| of the running group.
  Flow exitLanes(uint32_t lanes);
  /// Sends |taken| to |target|, the rest of the group behind the instruction.
  Flow branch(uint32_t taken, uint32_t target);
  /// True if every live lane of the warp executes this `.aligned` instruction.
  /// If not, either the lanes are parked until the others come (|flow| is
  /// Flow::reschedule, which the handler must return), or the others cannot
  /// come: then divergentAligned is reported and |flow| is Flow::next.
  bool aligned(Flow &flow);

  /// Adds a finding at this instruction.
  void report(FindingKind kind, uint32_t lanes, uint64_t address,
              std::string text) {
    cta.report(kind, warp, pc, lanes, address, std::move(text));
  }
  const Instruction &instruction() const { return cta.kernel.code[pc]; }

  uint32_t *rows;
  const uint64_t *constants;

private:
  static const uint32_t definedWords[8];
};

} // namespace hadal::sim
