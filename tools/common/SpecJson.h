// A kernel's spec as tools print it.
#pragma once

#include <nlohmann/json.hpp>

#include "runtime/schemas/artifact_generated.h"

namespace hadal {

/// {"kind": "gemm", "n": 2112, ...}: the kind and the fields in the artifact's
/// order, numbers and flags as such. Empty if |spec| is null.
nlohmann::ordered_json specJson(const schema::KernelSpec *spec);

} // namespace hadal
