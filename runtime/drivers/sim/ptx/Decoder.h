// From parsed instructions to handlers. A decoder function takes what it
// understands from the modifiers and operands; what is left over is refused.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/drivers/sim/ptx/Instruction.h"

namespace hadal::sim {

/// An operand as written.
struct ParsedOperand {
  enum Kind : uint8_t {
    registerRow, ///< row, bits (16, 32, 64)
    predicate,   ///< row = index; negated
    integer,     ///< value
    floating,    ///< value = bits of 0f / 0d / decimal; bits = 32 or 64
    symbol,      ///< text; space, value = address of a variable or parameter
    special,     ///< text: "%tid.x"
    vector,      ///< elements
    address,     ///< elements[0] = base (register, symbol or integer), value =
                 ///< offset; elements[1], if any, the coordinate vector
    sink,        ///< _
    label,       ///< text; value = pc
  } kind = sink;
  bool negated = false;
  uint8_t bits = 0;
  uint32_t row = 0;
  int64_t value = 0;
  Space space = Space::generic;
  std::string text;
  std::vector<ParsedOperand> elements;
};

/// One instruction as written: `opcode` is the word before the first dot.
struct ParsedInstruction {
  std::string text;   ///< "add.s32", as written
  std::string opcode; ///< "add"
  std::vector<std::string> modifiers; ///< "shared::cluster" stays one word
  std::vector<ParsedOperand> operands; ///< `d|p` are two operands in a row
  unsigned line = 0;
};

/// Where decoded operands go: rows and constants of the kernel being built.
class DecodeContext {
public:
  DecodeContext(Kernel &kernel, const ParsedInstruction &parsed,
                Instruction &instruction)
      : kernel(kernel), parsed(parsed), out(instruction) {}

  Kernel &kernel;
  const ParsedInstruction &parsed;
  Instruction &out;

  // ---- Modifiers: each taken once, order free -------------------------
  bool take(std::string_view modifier);
  /// Takes the first of |choices| that is present; its index, or -1.
  int takeOne(std::initializer_list<std::string_view> choices);
  /// Takes the next modifier that is a type.
  std::optional<Type> takeType();
  /// H5021 unless every modifier was taken.
  Status finish();
  /// Drops hints without effect (cache operators, eviction, prefetch size).
  void dropCacheHints();

  // ---- Operands -------------------------------------------------------
  size_t count() const { return parsed.operands.size(); }
  const ParsedOperand &operand(size_t index) const {
    return parsed.operands[index];
  }
  Status expectOperands(size_t least, size_t most);
  /// A register or constant of |type|'s slot width (32 or 64 bits) to read.
  StatusOr<Operand> source(size_t index, Type type);
  StatusOr<Operand> source(const ParsedOperand &operand, Type type);
  /// A register to write. A sink becomes a scratch row.
  StatusOr<Operand> destination(size_t index, Type type);
  StatusOr<Operand> destination(const ParsedOperand &operand, Type type);
  /// predicateOperand() of a predicate or of immediate 0/1.
  StatusOr<Operand> sourcePredicate(size_t index);
  /// Index of a predicate to write (a sink becomes a scratch predicate).
  StatusOr<Operand> destinationPredicate(size_t index);
  /// An integer immediate.
  StatusOr<int64_t> immediate(size_t index);
  /// Address operand: base register or constant as a 64-bit source with
  /// `wide` set, else 32-bit; the offset goes to |offset|.
  struct Address {
    Operand base = noOperand;
    bool wide = false;
    int64_t offset = 0;
    Space space = Space::generic; ///< of a symbol base
  };
  StatusOr<Address> address(size_t index);
  /// Gives the register of |operand| a row of its own for the whole kernel: an
  /// asynchronous instruction uses it behind the program's back.
  void keepRow(Operand operand);
  /// A constant-pool operand with |bits| in all lanes; |width| 32 or 64.
  Operand constant(uint64_t bits, unsigned width);
  /// Appends to Kernel::lists and counts in out.listSize.
  void append(Operand operand);
  unsigned scratchRow();       ///< two rows nobody reads
  unsigned scratchPredicate(); ///< a predicate nobody reads

  /// H5021: "line 12: add.s128: |reason|".
  Status refuse(std::string_view reason) const;

  /// Register rows read and written so far.
  std::vector<uint32_t> reads, writes, kept;

  static constexpr unsigned slotBits(Type type) {
    return bitsOf(type) > 32 ? 64 : 32;
  }
  /// The slot width of a register operand as declared: 32 or 64.
  static unsigned declaredBits(const ParsedOperand &operand) {
    return operand.bits > 32 ? 64 : 32;
  }

private:
  uint64_t taken = 0; ///< bit i: modifier i was taken
};

using Decode = Status (*)(DecodeContext &);

/// The decoder of an opcode ("add", "wgmma"), or nullptr.
Decode findDecoder(std::string_view opcode);

} // namespace hadal::sim
