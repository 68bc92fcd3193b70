// Which kernels of a program were chosen by a database of schedules.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/schemas/artifact_generated.h"
#include "runtime/tune/Database.h"

namespace hadal {

/// The text that the entries of |kernel| are found by (kernels::printSpec); ""
/// for one without a spec.
std::string tuningName(tile::KernelOp kernel);

/// The entries that a module carries behind phase lower (exec.tuned).
class TunedKernels {
public:
  /// Those of |module|; of lines that are damaged there are |warnings|.
  TunedKernels(mlir::ModuleOp module, std::vector<Status> &warnings);

  /// The entry of |kernel|, if it has exactly the schedule that this says and
  /// no word of another origin; null otherwise.
  const tune::Entry *entryOf(tile::KernelOp kernel) const;
  schema::KernelChoice choiceOf(tile::KernelOp kernel) const;
  const tune::Database &database() const { return entries; }

  /// Makes |entries| those that |module| carries.
  static void store(mlir::ModuleOp module, const tune::Database &entries);

private:
  tune::Database entries;
  std::map<std::string, const tune::Entry *> byName;
};

} // namespace hadal
