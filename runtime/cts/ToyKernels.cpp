// Kernels of the toy model, with the ABI of docs/artifact.md. Built
// freestanding and linked to a flat image: kernel i starts at byte i * 1024.
#include <cstdint>

namespace {
template <typename T> T *at(uint64_t address) {
  return reinterpret_cast<T *>(address);
}
} // namespace

#define TOY_KERNEL(index, name)                                                \
  extern "C" __attribute__((section(".kernel." #index), used)) void name(      \
      const uint64_t *args, uint64_t begin, uint64_t end, uint8_t *scratch)

/// x[t] = tokens[t] + 1 below sizes.tokens.
TOY_KERNEL(0, toyEmbed) {
  float *x = at<float>(args[0]);
  const int32_t *tokens = at<int32_t>(args[1]);
  const int32_t *sizes = at<int32_t>(args[2]);
  for (uint64_t t = begin; t < end && t < uint64_t(sizes[0]); ++t)
    x[t] = static_cast<float>(tokens[t] + 1);
}

/// kv[slot[t]] = (x[t], 1).
TOY_KERNEL(1, toyAppend) {
  float *kv = at<float>(args[0]);
  const float *x = at<float>(args[1]);
  const int64_t *slot = at<int64_t>(args[2]);
  for (uint64_t t = begin; t < end; ++t)
    if (slot[t] >= 0) {
      kv[2 * slot[t]] = x[t];
      kv[2 * slot[t] + 1] = 1;
    }
}

/// y[t] = (sum over p <= position of x_p * w[p % 8]) mod 61, all integers; 60
/// more if kv_len disagrees with the position.
TOY_KERNEL(2, toyAttend) {
  float *y = at<float>(args[0]);
  const float *kv = at<float>(args[1]);
  const int32_t *qStart = at<int32_t>(args[2]);
  const int32_t *kvLen = at<int32_t>(args[3]);
  const int32_t *positions = at<int32_t>(args[4]);
  const int32_t *pages = at<int32_t>(args[5]);
  const int64_t pagesPerRow = static_cast<int64_t>(args[6]);
  const int64_t pageSize = static_cast<int64_t>(args[7]);
  const float *w = at<float>(args[8]);
  const int32_t *sizes = at<int32_t>(args[9]);
  for (uint64_t t = begin; t < end && t < uint64_t(sizes[0]); ++t) {
    int64_t row = 0;
    while (qStart[row + 1] <= static_cast<int32_t>(t))
      ++row;
    int64_t sum = 0;
    for (int64_t p = 0; p <= positions[t]; ++p) {
      int64_t page = pages[row * pagesPerRow + p / pageSize];
      const float *cached = kv + 2 * (page * pageSize + p % pageSize);
      sum += static_cast<int64_t>(cached[0] * w[p % 8]);
    }
    int64_t last = positions[t] + (qStart[row + 1] - 1 - int64_t(t));
    y[t] = static_cast<float>(sum % 61 + (kvLen[row] == last + 1 ? 0 : 60));
  }
}

/// Of the tokens below sizes.slice_tokens: load[token % experts] += 1 if flags
/// say so, and expert_begin = prefix sums; one item.
TOY_KERNEL(3, toyRoute) {
  int32_t *load = at<int32_t>(args[0]);
  const int32_t *tokens = at<int32_t>(args[1]);
  int32_t *sizes = at<int32_t>(args[2]);
  const int32_t experts = static_cast<int32_t>(args[3]);
  int32_t *expertBegin = sizes + 16;
  for (int32_t e = 0; e <= experts; ++e)
    expertBegin[e] = 0;
  for (int32_t t = 0; t < sizes[3]; ++t) {
    load[tokens[t] % experts] += sizes[4] & 1;
    expertBegin[tokens[t] % experts + 1] += 1;
  }
  for (int32_t e = 0; e < experts; ++e)
    expertBegin[e + 1] += expertBegin[e];
}

/// to[t] = from[t].
TOY_KERNEL(4, toyMove) {
  float *to = at<float>(args[0]);
  const float *from = at<float>(args[1]);
  for (uint64_t t = begin; t < end; ++t)
    to[t] = from[t];
}

/// logits[l, v] = bias[v] - |v - hidden[logit_rows[l]] mod V|.
TOY_KERNEL(5, toyHead) {
  float *logits = at<float>(args[0]);
  const float *hidden = at<float>(args[1]);
  const int32_t *rows = at<int32_t>(args[2]);
  const float *bias = at<float>(args[3]);
  const int64_t vocab = static_cast<int64_t>(args[4]);
  const int32_t *sizes = at<int32_t>(args[5]);
  for (uint64_t l = begin; l < end && l < uint64_t(sizes[2]); ++l) {
    int64_t target = static_cast<int64_t>(hidden[rows[l]]) % vocab;
    for (int64_t v = 0; v < vocab; ++v) {
      float distance = static_cast<float>(v > target ? v - target : target - v);
      logits[l * vocab + v] = bias[v] - distance;
    }
  }
}

/// out[i] = i * factor, through the worker's scratch: every byte of it is
/// written and read back.
TOY_KERNEL(6, toyScratch) {
  int64_t *out = at<int64_t>(args[0]);
  const int64_t factor = static_cast<int64_t>(args[1]);
  const uint64_t bytes = args[2];
  if (reinterpret_cast<uint64_t>(scratch) % 64)
    return;
  for (uint64_t i = begin; i < end; ++i) {
    for (uint64_t b = 0; b < bytes; ++b)
      const_cast<volatile uint8_t *>(scratch)[b] = static_cast<uint8_t>(i);
    int64_t same = 0;
    for (uint64_t b = 0; b < bytes; ++b)
      same += const_cast<volatile uint8_t *>(scratch)[b] == uint8_t(i);
    out[i] = static_cast<int64_t>(i) * factor + (same - int64_t(bytes));
  }
}

/// out[i] = MXCSR without its status flags.
TOY_KERNEL(7, toyMxcsr) {
  int64_t *out = at<int64_t>(args[0]);
  uint32_t mxcsr;
  __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
  for (uint64_t i = begin; i < end; ++i)
    out[i] = mxcsr & ~0x3fu;
}
