// Every kernel at the sizes of DeepSeek-V3, for tests that need the IR only.
#pragma once

#include "kernels/ScheduledKernel.h"

namespace hadal::kernels::test {

/// Appends the kernels of one decode bucket (|rows| = 1) or of a larger one to
/// |builder|'s insertion point. Returns false if a builder refused its spec. On
/// sm_90a wkv_b is bf16 (dequantised at upload).
bool buildV3Kernels(mlir::OpBuilder &builder, int64_t rows, Act act,
                    Weight weight, bool quantize,
                    schedule::Target target = schedule::Target::cpu);

} // namespace hadal::kernels::test
