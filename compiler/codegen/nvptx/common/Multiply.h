// One product of a warpgroup, finished before anything else.
#pragma once

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

namespace hadal::nvptx {

/// a . b of 64 rows and |columns| columns, issued and waited for: f32 registers
/// of an accumulator. a is |tile| or else |registers| (i32, two bf16 each); b
/// is [N, K], or with |bMn| [K, N]. |acc|, registers likewise, is added to;
/// null: zero.
mlir::Value multiplyAndWait(sm90::AsmBuilder &b, mlir::Value tile,
                            mlir::Value registers, mlir::Value operandB,
                            bool bMn, int64_t columns, mlir::Value acc);

} // namespace hadal::nvptx
