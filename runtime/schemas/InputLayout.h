// How the inputs of an entry lie in memory: what the host writes, and where the
// program reads it. Free of libraries, because the compiler and the runtime
// share it. docs/artifact.md describes the inputs.
#pragma once

#include <cstdint>

namespace hadal::artifact {

/// Words of `sizes`' fixed head, expert_begin behind it: tokens, rows,
/// logit_rows, slice_tokens, flags, zeros (schemas/artifact.fbs at Input).
inline constexpr uint64_t kSizesHead = 16;
/// Bit of the word flags: the kernels that route count the expert load.
inline constexpr int32_t kCountExpertLoad = 1;

/// The most tokens that a layer of multi-token prediction drafts for a row: what
/// it is fed beyond the first is an approximation, whose tokens are seldom kept.
inline constexpr uint32_t kMaxDrafts = 3;

/// What a micro-batch of an entry holds at most.
struct InputShape {
  uint64_t tokens = 0, rows = 0; ///< of a head entry 0
  uint64_t logitRows = 0;        ///< of a head entry
  uint64_t pagesPerRow = 0;
  uint64_t experts = 0; ///< of the rank, in an MoE layer
  uint64_t hiddenRows = 0; ///< of a draft entry
};

/// Bytes of one micro-batch's block of the input |number| (schema::Input).
constexpr uint64_t inputBlockBytes(unsigned number, const InputShape &shape) {
  const bool isBody = shape.tokens > 0;
  switch (number) {
  case 0: // tokens
  case 1: // positions
    return shape.tokens * 4;
  case 2: // q_start
    return isBody ? (shape.rows + 1) * 4 : 0;
  case 3: // kv_len
    return shape.rows * 4;
  case 4: // page_table
    return shape.rows * shape.pagesPerRow * 4;
  case 5: // slot
    return shape.tokens * 8;
  case 6: // logit_rows
    return shape.logitRows * 4;
  case 7: // sizes
    return (kSizesHead + shape.experts + 1) * 4;
  case 8: // hidden_rows
    return shape.hiddenRows * 4;
  }
  return 0;
}

/// From one micro-batch's block of |bytes| to the next one's.
constexpr uint64_t inputStride(uint64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

} // namespace hadal::artifact
