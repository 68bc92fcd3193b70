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

/// The work items of a launch of |built| that does what one of |kernel| with
/// |items| does; both of |spec|, with schedules that may differ.
int64_t itemsOf(tile::KernelOp built, tile::KernelOp kernel,
                const AnySpec &spec, int64_t items);

} // namespace hadal::kernels
