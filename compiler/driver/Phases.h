// The phases of a compilation: one table that --compile-to, --compile-from,
// --dump-phases-to, --help and every message are made from.
#pragma once

#include <optional>

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "options/CompileOptions.h"

namespace hadal {

/// X(Name, word, sentence): what the IR is after the phase.
#define HADAL_FOR_EACH_PHASE(X)                                                \
  X(Import, "import", "the model as imported: dsv3, a function per layer")     \
  X(Layers, "layers", "equal layers are one function")                         \
  X(Buckets, "buckets", "a clone of every function per bucket")                \
  X(Shard, "shard", "the share of a rank: slices, slots, exchanges")           \
  X(Attention, "attention", "one attention form per bucket, chosen by cost")   \
  X(Quantize, "quantize", "every quantisation explicit, none repeated")        \
  X(Fuse, "fuse", "every operation is one fused kernel")                       \
  X(Overlap, "overlap", "every exchange begins and is awaited on its own")     \
  X(Lower, "lower", "tile kernels and an exec program")                        \
  X(Plan, "plan", "every buffer has its place; what will run")                 \
  X(Artifact, "artifact", "machine code and the finished file")

enum class Phase {
#define HADAL_PHASE(Name, word, sentence) Name,
  HADAL_FOR_EACH_PHASE(HADAL_PHASE)
#undef HADAL_PHASE
};

struct PhaseInfo {
  Phase phase;
  llvm::StringRef word, sentence;
};

/// All phases in order.
llvm::ArrayRef<PhaseInfo> allPhases();
llvm::StringRef phaseWord(Phase phase);
std::optional<Phase> parsePhase(llvm::StringRef word);

/// Adds the passes of |phase| (none for Import and Artifact, which are not made
/// of passes), ending with the verifier of the level that it reaches.
void buildPhase(Phase phase, mlir::OpPassManager &pm,
                const CompileOptions &options);

/// Keeps |options| on |module| (`exec.options`), so that an IR file of any
/// phase is complete; what does not change the artifact is left out.
void storeOptions(mlir::ModuleOp module, const CompileOptions &options);
/// Reads them back. H2005 if the module has none or they are malformed.
llvm::Expected<CompileOptions> loadOptions(mlir::ModuleOp module);
/// Completes |options| (the target's name, what words like native stand for)
/// and refuses what no compilation can meet (H2002, H3001, H3004).
llvm::Error resolveOptions(CompileOptions &options);

} // namespace hadal
