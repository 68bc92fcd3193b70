// A compilation's use of databases of schedules (--tuning-db).
//
// Phase lower takes what a database has for its kernels; whether the code is
// still what was measured is known only when there is code. Then kernels whose
// code is other than their entry says get the schedules of the rules again, and
// memory is planned anew.
#pragma once

#include "compiler/artifact/TunedKernels.h"
#include "compiler/codegen/Target.h"
#include "compiler/driver/Phases.h"
#include "schedule/Space.h"

namespace hadal {

struct TuningRequest {
  std::vector<std::string> databases; ///< the first that has a key counts
  bool required = false;              ///< --require-tuned
  std::string requiredKernels;        ///< its regular expression; "": all
  bool staleIsError = false;          ///< --stale-tuning=error
};

class Tuning {
public:
  Tuning(const TuningRequest &request, llvm::raw_ostream &log)
      : request(request), log(log) {}

  /// Reads the databases for a run that begins at a model: says in |options|
  /// what they have.
  llvm::Error open(const TargetInfo &target, CompileOptions &options);
  /// The same for a run that resumes behind |phase| what was compiled with
  /// |options|: H2005 if the databases are others.
  llvm::Error reopen(CompileOptions &options, Phase phase);

  /// Behind phase lower: lets |module| carry the entries that it uses.
  void record(mlir::ModuleOp module, const CompileOptions &options);

  /// Compares the code of the kernels of |planned| with what their entries say.
  /// If some are stale, gives them in |lowered| (the module before phase plan;
  /// null: H2005) the schedules of the rules and returns true: it has to be
  /// planned again.
  llvm::Expected<bool> dropStale(mlir::ModuleOp planned, mlir::ModuleOp lowered,
                                 const CompileOptions &options,
                                 CodeGenerator &generator);

  /// Says how many kernels were chosen how. H3009 where --require-tuned or
  /// --stale-tuning=error refuse that.
  llvm::Error report(mlir::ModuleOp module, const CompileOptions &options);

private:
  void read(CompileOptions &options);
  void warn(const std::vector<Status> &warnings);
  void useEntries(CompileOptions &options);
  tune::Key keyOf(std::string kernel, const CompileOptions &options) const;

  const TuningRequest &request;
  llvm::raw_ostream &log;
  tune::Database database;
  size_t numStale = 0;
  std::string firstStale;
};

} // namespace hadal
