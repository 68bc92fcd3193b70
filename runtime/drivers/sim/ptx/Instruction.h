// The decoded form of a PTX instruction and of a kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/drivers/sim/ptx/Types.h"

namespace hadal::sim {

class Exec;
struct Instruction;

/// What a handler tells the interpreter.
enum class Flow : uint8_t {
  next,       ///< go on behind the instruction
  jump,       ///< the handler set Exec::pc itself; the group is whole
  reschedule, ///< the handler changed the groups (split, parked, exited)
};

/// Executes one instruction for the lanes of Exec::mask. Never called with an
/// empty mask.
using Handler = Flow (*)(Exec &, const Instruction &);

/// An operand: a register row (>= 0), a row of the kernel's constant pool
/// (< 0, ~index), a predicate index or a number, as its handler defines.
using Operand = int32_t;
/// First address of the shared window, as on hardware not 0.
constexpr uint32_t sharedWindowBase = 0x400;
constexpr Operand noOperand = INT32_MIN;

/// A source predicate: index * 2 + negated.
constexpr Operand predicateOperand(unsigned index, bool negated) {
  return static_cast<Operand>(index * 2 + (negated ? 1 : 0));
}

struct Instruction {
  Handler handler = nullptr;
  Operand op[6] = {noOperand, noOperand, noOperand,
                   noOperand, noOperand, noOperand};
  int64_t imm = 0;
  /// Further operands, Kernel::lists[list ...].
  uint32_t list = 0;
  uint16_t listSize = 0;
  /// Guard predicate, -1 for none.
  int16_t guard = -1;
  bool guardNegated = false;
  /// May name registers of a wgmma in flight.
  bool ownsTags = false;
  /// Free for the handler: small modifiers.
  uint8_t sub = 0;
  uint16_t aux = 0;
  uint32_t aux2 = 0;
};
static_assert(sizeof(Instruction) <= 64);

/// One kernel parameter in the parameter block.
struct KernelParameter {
  std::string name;
  uint32_t offset = 0, bytes = 0, align = 0;
};

/// A decoded `.entry`. Row r of a warp's register file is 32 lanes x 32 bits;
/// a 64-bit register takes rows r and r + 1, viewed as 32 lanes x 64 bits.
/// 16-bit registers take a 32-bit row, upper half zero.
struct Kernel {
  std::string name;
  std::vector<KernelParameter> parameters;
  uint32_t parameterBytes = 0;
  std::vector<Instruction> code;
  std::vector<uint32_t> lines;        ///< PTX line of code[pc]
  std::vector<std::string> mnemonics; ///< opcode text of code[pc]
  std::vector<Operand> lists;
  /// Register rows that code[pc] names: uses[useBegin[pc] .. useBegin[pc+1]).
  std::vector<uint32_t> useBegin, uses;
  /// Constant pool, 32 lanes x 64 bits a constant (32-bit values use the first
  /// 32 words).
  std::vector<uint64_t> constants;
  /// Constants that hold the address of module variable |variable|, known at
  /// launch.
  struct Relocation {
    uint32_t constant = 0;
    uint32_t variable = 0;
  };
  std::vector<Relocation> relocations;
  uint32_t rows = 0, predicates = 0;
  int32_t scratchRow = -1, scratchPredicate = -1; ///< of sinks, -1 = none
  uint32_t staticShared = 0; ///< bytes of .shared variables
  uint32_t sharedAlign = 16; ///< largest alignment, of dynamic memory too
  uint32_t localBytes = 0;   ///< per thread
  uint32_t maxThreads = 0;   ///< .maxntid / .reqntid product, 0 = not given
  uint32_t maxRegisters = 0; ///< .maxnreg, 0 = not given
  uint32_t clusterSize[3] = {1, 1, 1};
  bool explicitCluster = false;
  /// Has atomics, strong accesses or reductions of global memory, by which CTAs
  /// can depend on each other's order.
  bool ordersGlobal = false;
};

} // namespace hadal::sim
