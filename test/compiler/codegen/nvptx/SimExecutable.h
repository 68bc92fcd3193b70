// What SimExecutable.cpp adds to the Executable of KernelTestSupport.h.
#pragma once

#include "runtime/drivers/sim/monitors/Report.h"

namespace hadal::kernels::test {

/// Statistics of the last launch of any Executable.
const sim::Statistics &lastStatistics();

} // namespace hadal::kernels::test
