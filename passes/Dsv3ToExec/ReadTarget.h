// The options `target` and `chip` of the passes that schedule kernels.
#pragma once

#include "dialects/Diagnostics.h"
#include "mlir/IR/BuiltinOps.h"
#include "cost/Chip.h"
#include "schedule/Space.h"

namespace hadal::lower {

/// Finds the target |name| ("": the first) and its chip |chipName| ("": the
/// first; null where the target has none). H3001 and H3004 at |module|.
inline mlir::LogicalResult readTarget(mlir::ModuleOp module,
                                      llvm::StringRef name,
                                      llvm::StringRef chipName,
                                      schedule::Target &target,
                                      const nvptx::Chip *&chip) {
  auto found = schedule::findTarget(std::string_view(name));
  if (!found)
    return emitCodedError(module, 3001) << "target '" << name << "' is unknown";
  target = *found;
  chip = nullptr;
  if (!target.hasChips())
    return mlir::success();
  chip = chipName.empty() ? &nvptx::allChips().front()
                          : nvptx::findChip(std::string_view(chipName));
  if (!chip)
    return emitCodedError(module, 3004)
           << "chip '" << chipName << "' is unknown";
  return mlir::success();
}

} // namespace hadal::lower
