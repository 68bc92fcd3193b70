// The version of what the words of a kind of kernel mean on a target.
#pragma once

#include <cstdint>
#include <string_view>

namespace hadal::schedule {

/// Of the space |name| ("gemm/sm_90a"). A database's entries of another version
/// are passed over. To be raised, for that space alone, when a word of it gets
/// another meaning: a new word or another rule need none, since the schedules
/// of entries are complete and their code is compared.
constexpr int64_t spaceVersion(std::string_view) { return 1; }

} // namespace hadal::schedule
