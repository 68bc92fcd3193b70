// Some kernels of an artifact as an artifact of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/artifact/Artifact.h"

namespace hadal::extract {

/// Which kernels are wanted; what is empty asks nothing.
struct Selection {
  /// ECMAScript regular expression that the name or the printed spec must hold.
  std::string pattern;
  /// Key of a model operation: the kernels of its launches.
  std::string operation;
};

/// The indices in the artifact, ascending. H5011 for a bad pattern, and where
/// nothing is selected.
StatusOr<std::vector<unsigned>> selectKernels(const Artifact &artifact,
                                              const Selection &selection);

/// The bytes of an artifact of |kernels|: the same model, weights, states and
/// entries, whose functions keep the launches of these kernels alone, in their
/// order and with their arguments. Collectives and events go. An image keeps
/// the code of all kernels, since it is linked as a whole.
StatusOr<std::vector<uint8_t>>
extractKernels(const Artifact &artifact, const std::vector<unsigned> &kernels);

} // namespace hadal::extract
