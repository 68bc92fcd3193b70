#include "tools/hadal-bench/MachineRates.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <immintrin.h>

#include "runtime/drivers/cpu/CpuDriver.h"
#include "runtime/drivers/cpu/CpuVariant.h"
#include "tools/hadal-bench/MachineRatesCuda.h"

namespace hadal::bench {

namespace {

constexpr uint64_t kCopyBytes = uint64_t(256) << 20, kPiece = uint64_t(1) << 20;
constexpr uint64_t kDotSteps = 1 << 20;
constexpr unsigned kChains = 12; // hides the latency of one accumulation

struct CopyContext {
  const uint8_t *from;
  uint8_t *to;
};

void copyPieces(void *context, uint64_t begin, uint64_t end, unsigned) {
  const auto &c = *static_cast<CopyContext *>(context);
  for (uint64_t i = begin; i < end; ++i)
    std::memcpy(c.to + i * kPiece, c.from + i * kPiece, kPiece);
}

/// The sum keeps the loop; the values are 1 and the steps few enough that f32
/// holds it.
__attribute__((target("avx512f,avx512bf16"))) void dotBf16(void *context,
                                                           uint64_t begin,
                                                           uint64_t end,
                                                           unsigned) {
  __m512 acc[kChains] = {};
  const __m512bh one = (__m512bh)_mm512_set1_epi16(0x3F80);
  for (uint64_t i = begin; i < end; ++i)
    for (uint64_t s = 0; s < kDotSteps; ++s)
#pragma clang loop unroll(full)
      for (unsigned c = 0; c < kChains; ++c)
        acc[c] = _mm512_dpbf16_ps(acc[c], one, one);
  __m512 sum = acc[0];
  for (unsigned c = 1; c < kChains; ++c)
    sum = _mm512_add_ps(sum, acc[c]);
  if (_mm512_reduce_add_ps(sum) < 0)
    *static_cast<volatile int *>(context) = 1;
}

__attribute__((target("avx2,fma"))) void dotF32(void *context, uint64_t begin,
                                                uint64_t end, unsigned) {
  __m256 acc[kChains] = {};
  const __m256 one = _mm256_set1_ps(1);
  for (uint64_t i = begin; i < end; ++i)
    for (uint64_t s = 0; s < kDotSteps; ++s)
#pragma clang loop unroll(full)
      for (unsigned c = 0; c < kChains; ++c)
        acc[c] = _mm256_fmadd_ps(one, one, acc[c]);
  float lanes[8];
  __m256 sum = acc[0];
  for (unsigned c = 1; c < kChains; ++c)
    sum = _mm256_add_ps(sum, acc[c]);
  _mm256_storeu_ps(lanes, sum);
  if (lanes[0] < 0)
    *static_cast<volatile int *>(context) = 1;
}

/// The best of some runs, in seconds.
template <typename F> double best(F run) {
  double seconds = 1e30;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    seconds = std::min(seconds, std::chrono::duration<double>(
                                    std::chrono::steady_clock::now() - begin)
                                    .count());
  }
  return seconds;
}

} // namespace

StatusOr<std::optional<MachineRates>> measureRates(Driver &driver,
                                                   cuda::CudaTimer *timer) {
  if (timer) {
    HADAL_ASSIGN_OR_RETURN(MachineRates rates,
                           measureCudaRates(driver, *timer));
    return std::optional<MachineRates>(std::move(rates));
  }
  // The simulator's time says nothing of the machine that it simulates.
  if (!driver.sharesHostMemory())
    return std::optional<MachineRates>();
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer from,
                         DeviceBuffer::create(driver, kCopyBytes, "copy"));
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer to,
                         DeviceBuffer::create(driver, kCopyBytes, "copy"));
  CopyContext copy{reinterpret_cast<const uint8_t *>(from.address()),
                   reinterpret_cast<uint8_t *>(to.address())};
  std::memset(reinterpret_cast<void *>(from.address()), 1, kCopyBytes);
  MachineRates rates;
  rates.copyBytesPerSecond = 2.0 * kCopyBytes / best([&] {
    cpu::parallelFor(driver, kCopyBytes / kPiece, copyPieces, &copy);
  });
  constexpr uint64_t kItems = 8;
  const bool bf16 = cpu::supportedVariants(cpu::readCpuid()).back() ==
                    "v4+bf16+vbmi";
  volatile int sink = 0;
  const double flops = double(kItems) * kDotSteps * kChains * 2 *
                       (bf16 ? 32 : 8);
  rates.bf16FlopsPerSecond = flops / best([&] {
    cpu::parallelFor(driver, kItems, bf16 ? dotBf16 : dotF32,
                     const_cast<int *>(&sink));
  });
  rates.copyBy = "memcpy on all threads, best of 5";
  rates.bf16By = bf16 ? "vdpbf16ps in registers, best of 5"
                      : "f32 multiply-add in registers, best of 5";
  return std::optional<MachineRates>(rates);
}

} // namespace hadal::bench
