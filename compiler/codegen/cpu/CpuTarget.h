// The row of the CPU in the table of targets.
#pragma once

#include "compiler/codegen/Target.h"

namespace hadal::cpu {

const TargetInfo &cpuTarget();

} // namespace hadal::cpu
