// Sizes that follow from a configuration and the compile options.
#include "frontend/Error.h"
#include "frontend/Import.h"
#include <algorithm>

using namespace hadal;

/// Far beyond any machine, and far below where sums of sizes would wrap.
static constexpr double kMaxBytes = 0x1p56;

/// Rows of the largest bucket (validateOptions).
static constexpr double kMaxRows = 65536;

llvm::Error hadal::checkSizes(const ModelConfig &c, const ImportOptions &o) {
  // In double: nothing wraps, and a bound does not need the last bit.
  const bool drafts = o.maxDrafts > 0;
  double hidden = c.hidden, heads = c.heads, layers = c.layers + drafts;
  double moeLayers = c.numMoeLayers() + (drafts && c.isMoe(c.layers)),
         experts = c.experts;
  double q = heads * c.headWidth(), kv = heads * (double(c.nope) + c.value);
  double latent = double(c.kvLoraRank) + c.rope;
  double attention = hidden * (c.qLoraRank + latent) +
                     q * std::max<double>(c.qLoraRank, hidden) +
                     kv * c.kvLoraRank + hidden * heads * c.value;
  double ffn = 3 * hidden * c.intermediate;
  double moe = experts * hidden +
               3 * (experts + c.sharedExperts) * hidden * c.moeIntermediate;
  double widest =
      std::max({hidden, q, kv, heads * c.kvLoraRank, c.qLoraRank + latent,
                double(c.intermediate), experts, double(c.vocab),
                double(c.sharedExperts) * c.moeIntermediate,
                double(c.topK) * std::max<double>(hidden, c.moeIntermediate)});
  const struct {
    const char *what, *fields;
    double bytes;
  } sizes[] = {{"weights",
                "hidden_size, vocab_size, the other widths, the layers and "
                "the experts",
                4 * (2 * hidden * c.vocab + layers * attention +
                     drafts * 2 * hidden * hidden +
                     (layers - moeLayers) * ffn + moeLayers * moe)},
               {"latent cache",
                "--max-batch-size, --max-seq-len, the layers, "
                "kv_lora_rank and qk_rope_head_dim",
                4 * layers * latent * o.maxBatchSize *
                    (double(o.maxSeqLen) + o.pageSize)},
               {"rotary table", "--max-seq-len and qk_rope_head_dim",
                4 * double(o.maxSeqLen) * c.rope},
               {"activations of one layer", "the widest of its rows",
                4 * kMaxRows * widest}};
  for (const auto &size : sizes)
    if (size.bytes > kMaxBytes)
      return makeError(
          2003,
          "the {0} would take {1:F1} TiB, expected at most {2:F0}; "
          "look at {3}",
          size.what, size.bytes * 0x1p-40, kMaxBytes * 0x1p-40, size.fields);
  return llvm::Error::success();
}
