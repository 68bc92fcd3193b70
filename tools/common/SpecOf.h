// The spec that an artifact's kernel carries.
#pragma once

#include "kernels/SpecText.h"
#include "runtime/schemas/artifact_generated.h"

namespace hadal {

/// The spec in |kernel|, or why this version reads none there.
kernels::ParsedSpec specOf(const schema::Kernel &kernel);

} // namespace hadal
