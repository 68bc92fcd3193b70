// What a program that is `deterministic` must show of itself.
#pragma once

#include "dialects/Exec/IR/Exec.h"

namespace hadal {

/// Of a module whose `exec.model` says `deterministic`: all entries of a kind
/// have one form of attention, and every kernel that contracts the order of
/// sums of the kind of the entry that launches it (kernels::Sums). Success for
/// any other module. Kernels must have specs that can be read.
mlir::LogicalResult verifyDeterminism(mlir::ModuleOp module,
                                      mlir::SymbolTable &symbols);

} // namespace hadal
