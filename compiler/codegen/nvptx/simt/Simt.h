// Lowers a tile kernel without a contraction to one function of sm_90a.
//
// A work item is one CTA. Tiles live in registers, spread over the CTA's threads
// by their flat index so that loads and stores move 16 bytes per thread, next to
// each other; reductions use shuffles and, across warps, shared memory. Where two
// ops disagree about which thread holds an element, the tile passes through
// shared memory. What a kernel computes does not depend on the launch's number
// of work items, so a row alone and in a batch give the same bits.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace hadal::nvptx {

/// True if a body holds no contraction: such kernels are lowered here.
bool isSimtKernel(tile::KernelOp kernel);

/// Appends the function to |builder|'s insertion point, which is in a module;
/// |kernel| is not changed. Its attributes hadal.threads (of a CTA; the grid has
/// one CTA per work item) and hadal.shared_bytes (dynamic) say how to launch it.
/// On failure an error has been reported at the op that has no lowering. arith
/// and scf ops remain in the function.
mlir::FailureOr<mlir::LLVM::LLVMFuncOp> lowerSimt(tile::KernelOp kernel,
                                                  mlir::OpBuilder &builder);

} // namespace hadal::nvptx
