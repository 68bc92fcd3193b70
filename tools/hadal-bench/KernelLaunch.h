// The launch by which a kernel of an artifact is judged, and its inputs.
#pragma once

#include <vector>

#include "runtime/device/Driver.h"
#include "tools/hadal-bench/DeviceArguments.h"

namespace hadal::bench {

/// The launch of a kernel in the largest bucket that has it.
struct Sample {
  const schema::Entry *entry = nullptr; ///< null: it is never launched
  uint64_t items = 0;
  std::vector<uint64_t> args; ///< its slots; of views the addresses are 0
};

/// By kernel.
std::vector<Sample> sampleLaunches(const schema::Artifact &root);

/// The case of kernel |index| in the bucket of |sample|. H4002 for a kernel
/// without a spec that this version reads, H5014 for one without a launch or
/// of int4 weights.
StatusOr<std::unique_ptr<KernelCase>> makeCaseOf(const Artifact &artifact,
                                                 unsigned index,
                                                 const Sample &sample,
                                                 uint64_t seed);

/// Adds a launch of kernel |index| as |sample| on |arguments| to |list|. H5014
/// for a slot that the case has no argument for.
Status addLaunch(const Artifact &artifact, unsigned index, const Sample &sample,
                 const DeviceArguments &arguments, LaunchList &list);

} // namespace hadal::bench
