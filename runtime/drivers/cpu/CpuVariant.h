// Which of an artifact's CPU images this machine can run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::cpu {

/// The words of CPUID and XCR0 that decide.
struct CpuidWords {
  uint32_t leaf1Ecx = 0;
  uint32_t leaf7Ebx = 0;
  uint32_t leaf7Ecx = 0;
  uint32_t leaf7Sub1Eax = 0;
  uint32_t extended1Ecx = 0; // leaf 0x80000001
  uint64_t xcr0 = 0;         // 0 where the system has not enabled XSAVE
};

/// All variants, worst first: "v3", "v4", "v4+bf16+vbmi".
const std::vector<std::string_view> &allVariants();

CpuidWords readCpuid();

/// The variants that a CPU with |words| runs, worst first. A variant needs its
/// instructions and the operating system's support of their registers (XCR0).
std::vector<std::string_view> supportedVariants(const CpuidWords &words);

/// The supported variants up to |limit| (the value of HADAL_CPU_VARIANT), worst
/// first; all of them if |limit| is empty. H5007 if |limit| is unknown or not
/// supported here, or if the CPU runs no variant.
StatusOr<std::vector<std::string_view>>
usableVariants(const CpuidWords &words, const std::string &limit);

} // namespace hadal::cpu
