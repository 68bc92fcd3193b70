// What one call of a model is given and gives: rows of new tokens with the
// pages of their sequences, and logits.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "runtime/session/Phase.h"

namespace hadal {

/// After which of a row's tokens.
enum class LogitsWanted : uint8_t { None, Last, All };

/// New tokens of one sequence.
struct CallRow {
  std::span<const int32_t> tokens;
  /// Of the first of them; all before it are in the cache.
  uint64_t position = 0;
  /// Of the sequence: |pages|[i] has positions i * page size on; they reach
  /// behind the last of |tokens|.
  std::span<const int32_t> pages;
  LogitsWanted logits = LogitsWanted::None;
  /// False: the cache has the latents of |tokens| already, in pages that may be
  /// others' too, and they are not written again.
  bool writes = true;
};

/// The logits after one position.
struct RowLogits {
  size_t row; ///< index in the call
  uint64_t position;
  std::span<const float> values; ///< vocab_size, valid during the call
  /// Not all of them are: a kernel or a weight is at fault. Other rows are as
  /// good as ever.
  bool finite;
};

using RowLogitsSink = std::function<void(const RowLogits &)>;

} // namespace hadal
