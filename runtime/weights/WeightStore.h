// Resolves the parameters of an artifact to what a kernel argument needs.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/checkpoint/CheckpointIndex.h"
#include "runtime/weights/ParameterSpec.h"

namespace hadal {

struct WeightStatistics {
  uint64_t parameters = 0;
  uint64_t files = 0;             // of the checkpoint, opened
  uint64_t tensors = 0;           // of the checkpoint, used
  uint64_t mappedBytes = 0;       // used in place
  uint64_t copiedBytes = 0;       // of `copy` parameters and column slices, as
                                  // held in memory
  uint64_t misalignedTensors = 0; // `map` parts copied for their alignment
  uint64_t misalignedBytes = 0;
  uint64_t generatedBytes = 0;
  uint64_t tableBytes = 0; // pointer tables
  double seconds = 0;
};

struct WeightLoadOptions {
  /// Asks the kernel to read the mapped ranges ahead, in their file order,
  /// unless they exceed the memory that is available.
  bool prefetch = true;
  /// Opens, and so checks, every weight file of the directory; else only those
  /// that hold a needed tensor, where an index says which.
  bool allFiles = true;
  /// No progress on stderr.
  bool quiet = false;
  /// Polled from tensor to tensor: H5016.
  const std::atomic<bool> *interrupt = nullptr;
};

/// Owns the mappings, copies and pointer tables of all parameters. Addresses
/// are stable for its lifetime, also when it is moved.
class WeightStore {
public:
  /// Resolves |parameters| from |checkpoint|. H5003 for a tensor that is
  /// missing or has another shape or dtype, H5004 for values that the model
  /// cannot use, H5006 when a copy does not fit in memory, H4005 for a
  /// description that contradicts itself.
  static StatusOr<WeightStore> load(CheckpointIndex checkpoint,
                                    std::span<const ParameterSpec> parameters,
                                    const WeightLoadOptions &options = {});
  /// For artifacts whose parameters are all generated.
  static StatusOr<WeightStore> load(const std::string &directory,
                                    std::span<const ParameterSpec> parameters,
                                    const WeightLoadOptions &options = {});

  WeightStore(WeightStore &&) = default;
  WeightStore &operator=(WeightStore &&) = default;

  size_t size() const { return resolved_.size(); }

  /// The 8-byte kernel argument of parameter |index|: a pointer to its data
  /// (tensor, generated) or to a table of pointers (stack: one per tensor;
  /// segments: one per block of segmentRows rows, of which only the last of the
  /// last part may have fewer rows).
  uint64_t argument(size_t index) const { return resolved_[index].argument; }

  /// The pointers behind the argument: one of a tensor, the table otherwise.
  std::span<const uint8_t *const> blocks(size_t index) const {
    return {resolved_[index].blocks, resolved_[index].numBlocks};
  }
  /// Bytes of all its data.
  uint64_t bytes(size_t index) const { return resolved_[index].bytes; }

  const WeightStatistics &statistics() const { return statistics_; }

private:
  struct Resolved {
    uint64_t argument = 0;
    const uint8_t *const *blocks = nullptr;
    size_t numBlocks = 0;
    uint64_t bytes = 0;
  };
  struct FreeDeleter {
    void operator()(uint8_t *pointer) const;
  };
  struct Loader;

  WeightStore() = default;

  CheckpointIndex checkpoint_;
  std::vector<Resolved> resolved_;
  std::vector<std::unique_ptr<uint8_t[], FreeDeleter>> buffers_;
  std::vector<std::vector<const uint8_t *>> tables_;
  WeightStatistics statistics_;
};

} // namespace hadal
