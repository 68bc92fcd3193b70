// Which kernel of one artifact is which of another.
#pragma once

#include <optional>
#include <vector>

#include "runtime/schemas/artifact_generated.h"

namespace hadal::diff {

/// For each kernel of |a| the one of |b| that computes the same, else the one
/// of its name, else none. A kernel is what its spec says; of several with one
/// spec those with one name belong together. No kernel of |b| is taken twice.
std::vector<std::optional<unsigned>> matchKernels(const schema::Artifact &a,
                                                  const schema::Artifact &b);

} // namespace hadal::diff
