#include "runtime/drivers/cpu/CpuVariant.h"

#include <algorithm>
#include <cpuid.h>

namespace hadal::cpu {

const std::vector<std::string_view> &allVariants() {
  static const std::vector<std::string_view> variants = {"v3", "v4",
                                                         "v4+bf16+vbmi"};
  return variants;
}

CpuidWords readCpuid() {
  CpuidWords words;
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d))
    words.leaf1Ecx = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    words.leaf7Ebx = b;
    words.leaf7Ecx = c;
    uint32_t maxSubleaf = a;
    if (maxSubleaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
      words.leaf7Sub1Eax = a;
  }
  if (__get_cpuid(0x80000001, &a, &b, &c, &d))
    words.extended1Ecx = c;
  constexpr uint32_t osxsave = 1u << 27;
  if (words.leaf1Ecx & osxsave) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    words.xcr0 = uint64_t(high) << 32 | low;
  }
  return words;
}

std::vector<std::string_view> supportedVariants(const CpuidWords &words) {
  auto has = [](uint64_t word, std::initializer_list<int> bits) {
    return std::all_of(bits.begin(), bits.end(),
                       [&](int bit) { return word >> bit & 1; });
  };
  std::vector<std::string_view> result;
  // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; XMM, YMM state.
  bool v3 = has(words.leaf1Ecx, {12, 22, 27, 28, 29}) &&
            has(words.leaf7Ebx, {3, 5, 8}) && has(words.extended1Ecx, {5}) &&
            has(words.xcr0, {1, 2});
  if (!v3)
    return result;
  result.push_back(allVariants()[0]);
  // AVX512 F, DQ, CD, BW, VL; opmask, ZMM_Hi256, Hi16_ZMM state.
  bool v4 =
      has(words.leaf7Ebx, {16, 17, 28, 30, 31}) && has(words.xcr0, {5, 6, 7});
  if (!v4)
    return result;
  result.push_back(allVariants()[1]);
  // AVX512_VBMI; AVX512_BF16.
  if (has(words.leaf7Ecx, {1}) && has(words.leaf7Sub1Eax, {5}))
    result.push_back(allVariants()[2]);
  return result;
}

StatusOr<std::vector<std::string_view>>
usableVariants(const CpuidWords &words, const std::string &limit) {
  std::vector<std::string_view> supported = supportedVariants(words);
  if (supported.empty())
    return error(5007, "this CPU lacks AVX2, FMA, F16C or BMI, which every "
                       "image needs; use an x86-64-v3 machine");
  if (limit.empty())
    return supported;
  auto at = std::find(supported.begin(), supported.end(), limit);
  if (at != supported.end()) {
    supported.erase(at + 1, supported.end());
    return supported;
  }
  const auto &all = allVariants();
  bool known = std::find(all.begin(), all.end(), limit) != all.end();
  return error(5007,
               "HADAL_CPU_VARIANT is '{}', {}; this CPU runs {}", limit,
               known ? "which this CPU does not run" : "an unknown variant",
               fmt::join(supported, ", "));
}

} // namespace hadal::cpu
