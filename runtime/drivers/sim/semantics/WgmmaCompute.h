// The arithmetic of wgmma.mma_async on dense tiles, in two models: exact
// products accumulated in f32, and the published model of Hopper's tensor
// cores, in which 8-bit products keep 13 bits below the largest term.
#pragma once

#include "runtime/drivers/sim/semantics/WgmmaLayout.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hadal::sim {

/// How an instruction accumulates.
enum class WgmmaModel : uint8_t {
  /// Each product is added to the f32 accumulator, k ascending.
  exactF32,
  /// All products of an instruction and the accumulator are aligned to the
  /// largest exponent, truncated and added as integers (bit-accurate model of
  /// arXiv 2511.10909; approximate until compared with a device).
  hopper13,
};

/// m64nNkK of one instruction.
struct WgmmaShape {
  WgmmaType a = WgmmaType::bf16;
  WgmmaType b = WgmmaType::bf16;
  unsigned n = 8;
  /// MN-major in shared memory (imm-trans-a, imm-trans-b = 1).
  bool transA = false;
  bool transB = false;
  /// imm-scale-a, imm-scale-b.
  bool negateA = false;
  bool negateB = false;
  /// D has f16 elements: the result is rounded to nearest even to f16.
  bool f16Result = false;

  unsigned k() const { return wgmmaK(a); }
  /// 32-bit registers of D in a thread.
  unsigned accumulatorRegisters() const { return f16Result ? n / 4 : n / 2; }
};

/// The 16-byte chunks of shared memory that one operand of an instruction
/// reads, in a fixed order: calls |fn|(physical address) |mnCount| * 2 times.
template <typename Fn>
void forEachOperandChunk(const MatrixDescriptor &descriptor, WgmmaType type,
                         bool mnMajor, unsigned mnCount, Fn fn) {
  const unsigned elements = 16 / wgmmaElementBytes(type);
  if (mnMajor) {
    for (unsigned k = 0; k < wgmmaK(type); ++k)
      for (unsigned mn = 0; mn < mnCount; mn += elements)
        fn(operandAddress(descriptor, type, true, mn, k));
    return;
  }
  for (unsigned mn = 0; mn < mnCount; ++mn)
    for (unsigned chunk = 0; chunk < 2; ++chunk)
      fn(operandAddress(descriptor, type, false, mn, chunk * elements));
}

std::vector<uint32_t> operandChunks(const MatrixDescriptor &descriptor,
                                    WgmmaType type, bool mnMajor,
                                    unsigned mnCount);

/// Reads A or B, whose chunks are |chunks|; see gatherSharedA.
Status gatherA(const WgmmaShape &shape, std::span<const uint32_t> chunks,
               const uint8_t *shared, uint32_t windowBase, size_t sharedBytes,
               float *tile);
Status gatherB(const WgmmaShape &shape, std::span<const uint32_t> chunks,
               const uint8_t *shared, uint32_t windowBase, size_t sharedBytes,
               float *tile);

/// Reads A into |tile| [64][K]. |shared| holds |sharedBytes| bytes, the first
/// of which has shared-window address |windowBase|. Every chunk must lie
/// inside; the first that does not is refused (5014, with its address).
Status gatherSharedA(const WgmmaShape &shape, const MatrixDescriptor &a,
                     const uint8_t *shared, uint32_t windowBase,
                     size_t sharedBytes, float *tile);

/// Reads B into |tile| [K][N]; as gatherSharedA.
Status gatherSharedB(const WgmmaShape &shape, const MatrixDescriptor &b,
                     const uint8_t *shared, uint32_t windowBase,
                     size_t sharedBytes, float *tile);

/// Register |reg| (0..3) of a register operand A in warp |warp| (0..3) of the
/// warpgroup, 32 lanes, into |tile| [64][K].
void loadOperandRegister(const WgmmaShape &shape, unsigned warp, unsigned reg,
                         const uint32_t *lanes, float *tile);

/// Register |reg| of D in warp |warp| to and from a dense tile [64][N]. There
/// are N/2 registers for an f32 D and N/4 for an f16 D, which holds the
/// elements 2 reg and 2 reg + 1.
void loadAccumulatorRegister(const WgmmaShape &shape, unsigned warp,
                             unsigned reg, const uint32_t *lanes, float *tile);
void storeAccumulatorRegister(const WgmmaShape &shape, unsigned warp,
                              unsigned reg, const float *tile,
                              uint32_t *lanes);

/// d [64][N] = a [64][K] * b [K][N] (+ d if |accumulate|), one instruction.
/// NaN results are 0x7FFFFFFF.
void wgmmaCompute(const WgmmaShape &shape, WgmmaModel model, const float *a,
                  const float *b, bool accumulate, float *d);

/// One output element of the hopper13 model, in plain scalar code: the
/// definition that the vectorised form is tested against. |a| and |b| hold
/// |count| values that the types |ta| and |tb| can represent.
float hopperDot(WgmmaType ta, WgmmaType tb, const float *a, const float *b,
                unsigned count, float c, bool f16Result);

namespace detail {
void computeExact(const float *a, const float *b, unsigned n, unsigned k,
                  float *d);
void computeHopper(const WgmmaShape &shape, const float *a, const float *b,
                   float *d);
} // namespace detail

} // namespace hadal::sim
