// Where the operands of wgmma.mma_async lie: the 64-bit shared-memory matrix
// descriptor, the addresses it stands for, and the register fragments of A and
// D (PTX ISA, "Asynchronous warpgroup-level matrix instructions"). Written
// from the ISA's formulas; the compiler's layouts are not used.
#pragma once

#include "runtime/base/Status.h"
#include "runtime/drivers/sim/semantics/Swizzle.h"

#include <cstdint>
#include <utility>

namespace hadal::sim {

/// Element types of A and B that the simulator computes.
enum class WgmmaType : uint8_t { bf16, f16, e4m3, e5m2 };

constexpr unsigned wgmmaElementBytes(WgmmaType type) {
  return type == WgmmaType::bf16 || type == WgmmaType::f16 ? 2 : 1;
}
/// Elements of K of one instruction: always 32 bytes per row.
constexpr unsigned wgmmaK(WgmmaType type) {
  return 32 / wgmmaElementBytes(type);
}

/// A decoded matrix descriptor; offsets in bytes.
struct MatrixDescriptor {
  uint32_t start;
  uint32_t leadingOffset;
  uint32_t strideOffset;
  Swizzle swizzle;
};

/// Decodes |bits|. Refused (5014, naming the field): bits that must be zero, a
/// non-zero base offset (its effect is not published), a swizzled start whose
/// line index is not at a pattern boundary (address bits 9:7 of a 128-byte
/// pattern and so on), an MN-major operand of a 1-byte type.
StatusOr<MatrixDescriptor> decodeMatrixDescriptor(uint64_t bits,
                                                  WgmmaType type,
                                                  bool mnMajor);

/// Physical shared address of the first byte of element (|mn|, |k|), where mn
/// is the row of A or the column of B and k the position inside one
/// instruction.
uint32_t operandAddress(const MatrixDescriptor &descriptor, WgmmaType type,
                        bool mnMajor, unsigned mn, unsigned k);

/// Row and column of D (f32) in register |reg| of thread |t| (0..127).
constexpr std::pair<unsigned, unsigned> accumulatorElement(unsigned t,
                                                           unsigned reg) {
  unsigned warp = t >> 5, group = (t & 31) >> 2, quad = t & 3;
  return {16 * warp + group + 8 * ((reg >> 1) & 1),
          8 * (reg >> 2) + 2 * quad + (reg & 1)};
}

/// The inverse: thread and register of D(|row|, |column|).
constexpr std::pair<unsigned, unsigned> accumulatorPlace(unsigned row,
                                                         unsigned column) {
  return {32 * (row >> 4) + 4 * (row & 7) + ((column & 7) >> 1),
          4 * (column >> 3) + 2 * ((row >> 3) & 1) + (column & 1)};
}

/// Row and k of A in part |part| (half 0..1 of a 16-bit type, byte 0..3 of an
/// 8-bit type, least significant first) of register |reg| (0..3) of thread t.
constexpr std::pair<unsigned, unsigned>
registerOperandElement(WgmmaType type, unsigned t, unsigned reg,
                       unsigned part) {
  unsigned warp = t >> 5, group = (t & 31) >> 2, quad = t & 3;
  unsigned row = 16 * warp + group + 8 * (reg & 1);
  if (wgmmaElementBytes(type) == 2)
    return {row, 2 * quad + part + 8 * (reg >> 1)};
  return {row, 4 * quad + part + 16 * (reg >> 1)};
}

/// Whether m64n|n| exists: 8..256 in steps of 8.
constexpr bool wgmmaShapeExists(unsigned n) {
  return n >= 8 && n <= 256 && n % 8 == 0;
}

} // namespace hadal::sim
