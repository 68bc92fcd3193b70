// Candidates of a kernel are kernels of their own, in the artifact that is
// measured; only there does a symbol say whose candidate it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hadal::tune {

/// "gemm_2112x7168_r64__c17". |number| from 1.
std::string candidateName(std::string_view kernel, uint64_t number);

/// Kernel and number of the candidate |name|; none for any other name.
std::optional<std::pair<std::string_view, uint64_t>>
parseCandidateName(std::string_view name);

} // namespace hadal::tune
