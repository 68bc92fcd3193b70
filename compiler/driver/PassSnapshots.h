// The IR between the passes of a phase.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/Error.h"

namespace hadal {

/// What each pass of a run left. A pass over functions has one clone for each,
/// because functions go through a pipeline on their own, several at a time.
struct PassSnapshot {
  std::string pass;
  std::vector<mlir::OwningOpRef<mlir::Operation *>> left;
};

/// Appends to |snapshots| what each pass of ours leaves, in pipeline order; no
/// pass may come twice.
std::unique_ptr<mlir::PassInstrumentation>
createSnapshotRecorder(std::vector<PassSnapshot> &snapshots);

/// Writes DIRECTORY/N-PASS.mlir with its index (DumpIndex.h) for the Nth of
/// |snapshots| if its text differs from the one before; |before| is what the
/// first pass got. H4006.
llvm::Error writeSnapshots(mlir::ModuleOp before,
                           llvm::ArrayRef<PassSnapshot> snapshots,
                           llvm::StringRef directory);

} // namespace hadal
