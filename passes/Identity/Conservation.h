// No pass may lose the name of a model operation.
#pragma once
#include <memory>
#include <string>

#include "mlir/Pass/PassInstrumentation.h"

namespace hadal {

/// Checks each pass of ours on the dsv3 and exec levels: every member of a
/// function's operations (passes/Identity/Names.h; terminators left out) must
/// afterwards be a member of some operation or be recorded as dropped
/// (recordDropped of passes/Dsv3/Passes.h). A function is found again by its
/// symbol and by the kind that its location names, for layers are merged,
/// buckets cloned and entries renamed; functions "f_..." of the
/// program together stand for an f of their kind that is gone. A name that is
/// gone is an error (H2001); the first pass that loses one is left in |pass|,
/// because an instrumentation cannot fail a run.
std::unique_ptr<mlir::PassInstrumentation>
createConservationCheck(std::string &pass);

} // namespace hadal
