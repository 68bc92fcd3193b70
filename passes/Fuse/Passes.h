// Passes that make one operation of several.
#pragma once
#include "passes/Dsv3/Passes.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Fuse/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Fuse/Passes.h.inc"

} // namespace hadal
