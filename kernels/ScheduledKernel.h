// A kernel from a spec and the words of its schedule that are given.
#pragma once

#include "kernels/Kernels.h"
#include "schedule/Space.h"

namespace hadal::kernels {

#define HADAL_OVERLOAD_BUILD(K)                                                \
  inline tile::KernelOp buildKernel(                                           \
      mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name,      \
      const K##Spec &spec, const schedule::Schedule &schedule) {               \
    return build##K(builder, loc, name, spec, schedule);                       \
  }
HADAL_FOR_EACH_KERNEL(HADAL_OVERLOAD_BUILD)
#undef HADAL_OVERLOAD_BUILD

/// The schedule of |spec|, or an error at |loc| that names the kernel, the word
/// and its legal values.
template <typename Spec>
std::optional<schedule::Schedule>
resolveSchedule(mlir::Location loc, llvm::StringRef name, const Spec &spec,
                Target target, const nvptx::Chip *chip,
                const schedule::Words &given = {}) {
  std::string error;
  auto schedule = schedule::resolve(spec, target, chip, given, error);
  if (!schedule)
    mlir::emitError(loc) << "H3008: kernel '" << name << "': " << error;
  return schedule;
}

/// Resolves and builds; null if either has been refused.
template <typename Spec>
tile::KernelOp
buildScheduled(mlir::OpBuilder &builder, mlir::Location loc,
               llvm::StringRef name, const Spec &spec, Target target,
               const nvptx::Chip *chip, const schedule::Words &given = {}) {
  auto schedule = resolveSchedule(loc, name, spec, target, chip, given);
  return schedule ? buildKernel(builder, loc, name, spec, *schedule)
                  : tile::KernelOp();
}

} // namespace hadal::kernels
