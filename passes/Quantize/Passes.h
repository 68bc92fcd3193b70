// Passes that place quantisations.
#pragma once
#include "passes/Dsv3/Passes.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Quantize/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Quantize/Passes.h.inc"

} // namespace hadal
