// The rates of a GPU.
#pragma once

#include "tools/hadal-bench/MachineRates.h"

namespace hadal::bench {

/// As measureRates(); the product has |gemmSize| rows, columns and terms. Needs
/// 2 GiB of device memory for the copy, an eighth of what is free if that is
/// less, then three matrices.
StatusOr<MachineRates> measureCudaRates(Driver &driver, cuda::CudaTimer &timer,
                                        uint64_t gemmSize = 8192);

} // namespace hadal::bench
