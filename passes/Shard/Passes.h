// Passes that give a rank its share of the model.
#pragma once
#include "passes/Dsv3/Passes.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Shard/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Shard/Passes.h.inc"

} // namespace hadal
