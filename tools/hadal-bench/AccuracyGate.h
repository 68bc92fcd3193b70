// Is a candidate right? Asked before it is timed: a wrong kernel is fast.
#pragma once

#include <string>

#include "tools/hadal-bench/kernels/KernelCase.h"

namespace hadal::bench {

/// Codes as in docs/tuning.md.
enum class Fault {
  none,
  R02, ///< wrong against the reference in double, or against the default
  R04, ///< not bit-equal, in a class that promises the default's bits
};
std::string_view toString(Fault fault);

struct Judgement {
  Fault fault = Fault::none;
  std::string numbers; ///< of the fault, for people
  Deviation deviation; ///< from the reference
};

/// Overwrites what a kernel must write, so that nothing of an earlier run can
/// stand for it: outputs that are zeros, i.e. are not read, become bytes of
/// 0xff, a NaN in every format of theirs.
void poison(const KernelCase &test, Arguments &arguments);

/// Whether |outputs|, which a kernel wrote for |test|, are right: |byDefault|
/// are those of the default. Three questions, each with its numbers: samples
/// against the reference in double; of samples the error against 1.5 x the
/// default's; every element of every row against the default's, bit for bit
/// where |sameBits|, else within twice the bound of the kernel. |seed| draws
/// the samples. With |outputs| = |byDefault| the first alone.
Judgement judge(const KernelCase &test, const Arguments &byDefault,
                const Arguments &outputs, bool sameBits, uint64_t seed);

} // namespace hadal::bench
