// The sums of host-ordered communicators.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/DType.h"

namespace hadal::comm {

/// Writes to |out| the element-wise sums of |blocks|, one for each rank in rank
/// order, of |bytes| bytes of |dtype| (f32 or bf16) each: formed in f32 in that
/// order and rounded once, so that every rank and backend gives equal bits. Any
/// alignment; |out| overlaps no block.
void rankSum(uint8_t *out, std::span<const uint8_t *const> blocks,
             uint64_t bytes, DType dtype);

} // namespace hadal::comm
