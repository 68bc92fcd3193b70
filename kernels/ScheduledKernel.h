// A kernel from a spec and the words of its schedule that are given.
#pragma once

#include "kernels/Kernels.h"
#include "schedule/Space.h"

namespace hadal::kernels {

/// Resolves the schedule of |spec| and builds the kernel; null, with an error
/// at |loc|, if either is refused.
tile::KernelOp buildScheduled(mlir::OpBuilder &builder, mlir::Location loc,
                              llvm::StringRef name, const AnySpec &spec,
                              schedule::Target target, const nvptx::Chip *chip,
                              const schedule::Words &given = {});

} // namespace hadal::kernels
