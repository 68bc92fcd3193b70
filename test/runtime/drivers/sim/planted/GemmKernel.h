// A warp-specialised block-scaled FP8 GEMM in PTX, written by hand: one
// producer thread fills a ring of two stages by TMA, one warpgroup multiplies
// and promotes every 128 of K.
#pragma once

#include "test/runtime/drivers/sim/planted/Planted.h"

#include "runtime/drivers/sim/semantics/TensorMap.h"

namespace hadal::sim::test {

/// The module text; the entry is `gemm(mapA, mapB, out, scalesA, scalesB,
/// kblocks)` with 160 threads.
std::string gemmText();

/// out [64][64] = sum over blocks of 128 of K of (A block * B block^T) * sa *
/// sb, for A [64][K] and B [64][K] of e4m3, sa [kblocks][64], sb [kblocks].
struct GemmProblem {
  unsigned k = 200;
  std::vector<uint8_t> a, b; ///< rows of |pitch| bytes
  std::vector<float> scalesA, scalesB;
  std::vector<double> expected, magnitude;
  TensorMapDesc mapA, mapB;
  uint32_t sharedBytes = 32768 + 32;

  /// Codes uniform in +-448 (or in (0, 448] if |positive|), padding of garbage.
  GemmProblem(unsigned k, bool positive, uint64_t seed);
  /// The float64 result of the operands and scales as they are.
  void computeExpected();
  unsigned pitch() const { return (k + 15) / 16 * 16; }
  unsigned blocks() const { return (k + 127) / 128; }
};

struct GemmResult {
  Report report;
  std::vector<float> out;

  /// Largest |out - expected| / magnitude, the sum of the absolute terms.
  double worst(const GemmProblem &problem) const;
};

GemmResult runGemm(const std::string &text, const GemmProblem &problem,
                   AsyncPolicy policy,
                   Fp8Accumulate model = Fp8Accumulate::exact);

} // namespace hadal::sim::test
