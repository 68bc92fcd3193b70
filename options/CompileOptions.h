// What a user may choose about a compilation. One struct: the command line
// fills it, passes take their part of it, the artifact's provenance records it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hadal {

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
  /// Batch sizes; only those up to the first that holds |maxBatchSize| are
  /// used.
  std::vector<int64_t> decodeBuckets = {1, 4, 16, 64};
  std::vector<int64_t> prefillBuckets = {64, 512};
  std::vector<int64_t> headBuckets = {1, 16, 64};
  /// --schedule, "REGEX:WORD=VALUE,...": words of the schedules of the kernels
  /// whose symbol matches, in the order in which they were given.
  std::vector<std::string> schedules;
};

} // namespace hadal
