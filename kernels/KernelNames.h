// The spec that a kernel's name stands for: the inverse of kernelName, for tools
// that hold an artifact and no compiler.
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "kernels/KernelSpecs.h"

namespace hadal::kernels {

/// One of the specs.
using AnySpec =
    std::variant<EmbedSpec, NormQuantSpec, QuantizeSpec, AddSpec, GemmSpec,
                 LatentNormRopeCacheSpec, AbsorbQSpec, AbsorbVSpec,
                 MlaDecodeSpec, MlaPrefillSpec, GateTopkSpec, MoePermuteSpec,
                 MoeCombineSpec, SiluMulSpec>;

/// The spec with kernelName(spec) == |name|; nullopt for a name that no spec has.
std::optional<AnySpec> parseKernelName(std::string_view name);

} // namespace hadal::kernels
