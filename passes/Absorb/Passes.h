// Passes that give the latent attention its form.
#pragma once
#include "passes/Dsv3/Passes.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Absorb/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Absorb/Passes.h.inc"

} // namespace hadal
