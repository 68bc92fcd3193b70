// Passes that let computation and communication overlap.
#pragma once
#include "passes/Dsv3/Passes.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Overlap/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Overlap/Passes.h.inc"

} // namespace hadal
