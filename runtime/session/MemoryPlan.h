// What a model needs of a device's own memory, computed before any of it is
// allocated.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/artifact/Artifact.h"
#include "runtime/device/Driver.h"

namespace hadal {

/// In bytes.
struct MemoryPlan {
  uint64_t weights = 0;
  uint64_t cache = 0;       // paged states
  uint64_t states = 0;      // other states
  uint64_t activations = 0; // the arena
  uint64_t workspace = 0;
  uint64_t io = 0;       // inputs and logits
  uint64_t overhead = 0; // of the driver

  uint64_t total() const {
    return weights + cache + states + activations + workspace + io + overhead;
  }
};

/// Pages of the cache that |rows| rows (0: max_batch_size) of max_seq_len
/// tokens need.
uint64_t cachePagesFor(const schema::Model &model, uint32_t rows);

/// Replaces a 0 by what it stands for: max_batch_size rows, pages enough for the
/// rows. H5005 for more of either than the artifact was compiled for.
Status completeCapacity(const schema::Model &model, uint32_t &rows,
                        uint64_t &pages);

/// Bytes of |state| with a cache of |pages| pages; nothing if they exceed 64
/// bits.
std::optional<uint64_t> stateBytes(const schema::Model &model,
                                   const schema::State &state, uint64_t pages);

/// What a session with |cachePages| pages of cache takes of |driver|; `weights`
/// and `workspace` stay 0. H5006 if a size exceeds 64 bits.
StatusOr<MemoryPlan> planSession(const Driver &driver, const Artifact &artifact,
                                 uint64_t cachePages);

/// What |artifact| takes with such a session. H5006.
StatusOr<MemoryPlan> planModel(const Driver &driver, const Artifact &artifact,
                               uint64_t cachePages);

/// H5006 with all figures if |plan| exceeds the free memory of |driver|. A
/// driver that shares the host's memory accepts everything: weights are mapped
/// there and pages committed when they are touched.
Status checkMemory(Driver &driver, const Artifact &artifact,
                   const MemoryPlan &plan);

} // namespace hadal
