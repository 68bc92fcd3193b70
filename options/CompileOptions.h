// What a user may choose about a compilation. One struct: the command line
// fills it, passes take their part of it, the artifact's provenance records it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

/// Whether buckets run as two micro-batches: where it is predicted to pay, always
/// or never.
enum class OverlapChoice { Auto, On, Off };

/// Form of the attention (model-spec 2.5, 2.6).
enum class AttentionChoice { Auto, Absorbed, Expanded };

struct CompileOptions {
  std::string target; ///< --target: a name of the table; "": the default
  std::string chip;   ///< --chip, of a target that has several: "h100"
  /// --images, of a target whose artifacts hold several images: "all", or names
  /// joined by commas.
  std::string images;
  int64_t maxBatchSize = 16;
  int64_t maxSeqLen = 4096;
  int64_t pageSize = 64; ///< tokens per page of the latent cache
  AttentionChoice attention = AttentionChoice::Auto;
  bool f32Activations = false; ///< --activations f32, else bf16
  bool w8a16 = false;          ///< --fp8 w8a16, else w8a8
  /// --deterministic, the cpu target's default: the bits of a token's results
  /// depend on its phase (prompt, generated) and on its predecessors' bits only.
  bool deterministic = false;
  /// Batch sizes; only those up to the first that holds |maxBatchSize| are
  /// used.
  std::vector<int64_t> decodeBuckets = {1, 4, 16, 64};
  std::vector<int64_t> prefillBuckets = {64, 512};
  std::vector<int64_t> headBuckets = {1, 16, 64};
  /// --mtp K: most tokens that the layer of multi-token prediction drafts for a
  /// step; 0: it is left out.
  int64_t maxDrafts = 0;
  // How ranks share the model: tp * dp of them.
  int64_t tp = 1; ///< ranks that share the heads of a sequence
  int64_t dp = 1; ///< groups with sequences of their own
  /// Ranks that share the experts; 0: all, of a model without experts 1.
  int64_t ep = 0;
  int64_t ranksPerNode = 8;
  /// Slots for experts beyond one for each, over the ranks of an ep group.
  int64_t redundantExperts = 0;
  /// --capacity: rows that a rank sends to another at most: "auto", "worst"
  /// (whatever the router does), or a number.
  std::string capacity = "auto";
  /// --schedule-as: "ep=1": experts get the schedules of one rank, so that
  /// results are one rank's bit for bit; "": those of their own shapes.
  std::string scheduleAs;
  bool splitVocabulary = false; ///< --vocab tp, else whole
  /// --reduce f32: partial sums travel in f32, else in bf16; with f32
  /// activations they are f32.
  bool f32Reductions = false;
  OverlapChoice overlap = OverlapChoice::Auto; ///< --overlap
  /// --cluster: the text of a file that says what links and chips cost; "": the
  /// target's own, if it has one.
  std::string cluster;
  int64_t ranks() const { return tp * dp; }
  /// --schedule, "REGEX:WORD=VALUE,...": words of the schedules of the kernels
  /// whose symbol matches, in the order in which they were given.
  std::vector<std::string> schedules;
};

} // namespace hadal
