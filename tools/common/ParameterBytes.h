// What a parameter of an artifact takes in memory.
#pragma once

#include <cstdint>

#include "runtime/artifact/Verify.h"

namespace hadal {

/// Bytes of the values of |parameter| as a rank holds them, pitches included,
/// pointer tables not. |model| is the artifact's, which was verified.
uint64_t parameterBytes(const schema::Model &model,
                        const schema::Parameter &parameter);

} // namespace hadal
