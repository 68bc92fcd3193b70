// The compiler as a library: from a model directory or an IR file to an
// artifact, phase by phase.
#pragma once

#include <functional>
#include <string>

#include "compiler/driver/Phases.h"
#include "compiler/driver/Tuning.h"
#include "llvm/Support/raw_ostream.h"

namespace hadal {

/// One run of the compiler.
struct CompileRequest {
  /// A model directory, a config file, or (|resumed|) an IR file.
  std::string input;
  /// The artifact; for a run that stops earlier the IR file, "" or "-": stdout.
  std::string output;
  CompileOptions options; // of a resumed run: those of the IR file
  /// The phase that |input| has been through; set: start after it.
  std::optional<Phase> resumed;
  Phase last = Phase::Artifact;
  bool planOnly = false; // stop after Plan and print the memory plan
  // Keys of config.json that are not known are warned of, not refused.
  bool allowUnknownKeys = false;
  // IR after each phase, numbered files, each with its index (DumpIndex.h).
  std::string dumpDir;
  // The same after each pass that changed it, a folder for each phase.
  std::string passDumpDir;
  bool verifyEach = false; // no pass may lose the name of a model operation
  unsigned threads = 0;  // of code generation; 0: one per core
  // What --ptxas and --kernel-cache were given ("": the default).
  std::string ptxas, kernelCache;
  TuningRequest tuning;
  // Changes the module that phase Lower leaves, before the phases behind it.
  std::function<llvm::Error(mlir::ModuleOp)> edit;
  // Of a run that stops before Artifact: takes the module, which it may not
  // keep; no IR file is written then.
  std::function<llvm::Error(mlir::ModuleOp)> consume;
};

/// Runs |request|. Progress, remarks and warnings go to |log|.
llvm::Error compile(const CompileRequest &request, llvm::raw_ostream &log);

} // namespace hadal
