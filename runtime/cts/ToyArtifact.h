// A tiny artifact whose kernels are real machine code and whose model can be
// recomputed by hand: what tests of the artifact reader, the drivers, the
// session and the tools run.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/schemas/artifact_generated.h"

namespace hadal::toy {

inline constexpr int kVocab = 64;
inline constexpr int kExperts = 4;
inline constexpr int kLayers = 2;
inline constexpr int kPageSize = 4;
inline constexpr int kMaxSeqLen = 62;
inline constexpr int kMaxBatch = 4;
inline constexpr uint64_t kScratchBytes = 192;

enum Kernel : uint32_t {
  kEmbed,
  kAppend,
  kAttend,
  kRoute,
  kMove,
  kHead,
  kScratch,
  kMxcsr,
  kNumKernels
};

/// Element |i| of parameter w.<layer>, and of the bias.
float weight(int layer, int i);
float bias(int v);

/// The image, read from the build directory.
std::vector<uint8_t> kernelImage();
/// The same kernels as PTX: one module of them all.
std::vector<uint8_t> kernelPtx();

schema::ArgT arg(schema::ArgKind kind, uint32_t index = 0, uint64_t value = 0);
schema::CommandT launch(uint32_t kernel, uint64_t items,
                        std::vector<schema::ArgT> args);

/// Everything but entries and functions: provenance, model, kernels, one `v3`
/// image in blob 0, states and parameters.
schema::ArtifactT skeleton();
/// The whole toy model: decode buckets 1 and 4, prefill buckets 8 and 16 for 4
/// rows, head entries of 1 and 4 rows.
schema::ArtifactT model();
/// The same with a layer of multi-token prediction: decode_1x<K+1> and
/// decode_4x<K+1>, which verify K = |maxDrafts| (1 to 3) drafts, a draft entry
/// for each of these and for each prefill bucket, draft_next for K > 1, draft
/// heads. The layer is w.0 over the embedding with a cache of its own: it does
/// not read `hidden`.
schema::ArtifactT modelWithDrafts(uint32_t maxDrafts);
/// Makes |artifact| one for sm_90a: every kernel has a block of 32 threads and
/// blob 0, which is kernelPtx(), as its PTX; what was scratch is shared memory.
void makeSm90a(schema::ArtifactT &artifact);

/// The file of |artifact| with |blobs|; where |rawBytes| is not 0, the blob is
/// a zstd frame said to hold so many bytes.
std::vector<uint8_t>
assemble(const schema::ArtifactT &artifact,
         const std::vector<std::vector<uint8_t>> &blobs,
         const std::vector<uint64_t> &rawBytes = {});
/// The same with the kernels for its target as the only blob.
std::vector<uint8_t> assemble(const schema::ArtifactT &artifact);

/// Writes the model's parameters as |directory|/model.safetensors; |biasOf3|
/// replaces element 3 of the bias.
void writeWeights(const std::string &directory, float biasOf3 = bias(3));
void writeFile(const std::string &path, std::span<const uint8_t> bytes);
/// A fresh directory that is removed with the object.
class TempDir {
public:
  TempDir();
  ~TempDir();
  const std::string &path() const { return path_; }
  std::string file(const std::string &name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

/// The logits after each position of |tokens|, by the definition.
std::vector<std::vector<float>> referenceLogits(std::span<const int32_t> tokens);

} // namespace hadal::toy
