#include "compiler/driver/Compiler.h"

#include "compiler/artifact/FileWriter.h"
#include "compiler/artifact/Writer.h"
#include "compiler/codegen/Target.h"
#include "compiler/driver/DumpIndex.h"
#include "compiler/driver/Layout.h"
#include "compiler/driver/MemoryReport.h"
#include "compiler/driver/PassSnapshots.h"
#include "compiler/driver/Register.h"
#include "dialects/Diagnostics.h"
#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "frontend/Import.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Identity/Conservation.h"
#include "passes/Identity/Names.h"
#include "runtime/base/OutputFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Timer.h"

using namespace mlir;

namespace hadal {

/// The exit status of what only we can mend.
static constexpr int kInternalError = 1;

namespace {

/// Remembers which pass failed, for the message.
struct FailedPass : PassInstrumentation {
  explicit FailedPass(std::string &name) : name(name) {}
  void runAfterPassFailed(Pass *pass, Operation *) override {
    if (name.empty())
      name = pass->getArgument();
  }
  std::string &name;
};

/// One compilation; prints errors and remarks of passes as they come.
class CompileRun {
public:
  CompileRun(const CompileRequest &request, raw_ostream &log)
      : request(request), log(log), registry(makeRegistry()), context(registry),
        tuning(request.tuning, log), diagnostics(&context, [&](Diagnostic &d) { return report(d); }) {
    context.loadAllAvailableDialects();
    // The op of a message can be a whole entry.
    context.printOpOnDiagnostic(false);
  }

  llvm::Error run();

private:
  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerAll(registry);
    return registry;
  }

  LogicalResult report(Diagnostic &diagnostic) {
    std::lock_guard<std::mutex> lock(mutex);
    std::optional<int> code = getErrorCode(diagnostic);
    StringRef severity;
    switch (diagnostic.getSeverity()) {
    case DiagnosticSeverity::Error:
      // The text of a coded one begins "H2002: ".
      severity = code ? "error " : "error: ";
      if (!firstCode)
        firstCode = code;
      break;
    case DiagnosticSeverity::Warning:
      severity = "warning: ";
      break;
    case DiagnosticSeverity::Note:
    case DiagnosticSeverity::Remark:
      severity = "";
      break;
    }
    log << "hadal-compile: " << severity << diagnostic.str() << "\n";
    for (Diagnostic &note : diagnostic.getNotes())
      log << "hadal-compile:   " << note.str() << "\n";
    return success();
  }

  void progress(Phase phase) {
    log << llvm::formatv("hadal-compile: [{0}/{1}] {2}: {3}\n",
                         static_cast<int>(phase) + 1, allPhases().size(),
                         phaseWord(phase),
                         allPhases()[static_cast<size_t>(phase)].sentence);
  }

  llvm::Error import();
  llvm::Error resume();
  llvm::Error checkSchedules();
  llvm::Error runPhase(Phase phase);
  llvm::Error edit() {
    return request.edit ? request.edit(*module) : llvm::Error::success();
  }
  llvm::Error generate();
  llvm::Error plan();
  /// "6-fuse".
  static std::string dumpName(Phase phase) {
    return llvm::formatv("{0}-{1}", static_cast<int>(phase) + 1,
                         phaseWord(phase));
  }
  llvm::Error dump(Phase phase);
  /// The directory for what code generation has below tile; "": none.
  std::string codegenDumpDir() {
    llvm::SmallString<128> path(request.dumpDir);
    if (!path.empty())
      llvm::sys::path::append(path, dumpName(Phase::Artifact));
    return std::string(path);
  }
  llvm::Error failure(Phase phase, StringRef pass, ModuleOp before);
  static std::string print(ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream os(text);
    module.print(os, getDumpFlags());
    os << "\n";
    return text;
  }
  static llvm::Error writeText(StringRef path, const std::string &text) {
    return writeOutput(
        path,
        ArrayRef(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
  }

  const CompileRequest &request;
  raw_ostream &log;
  DialectRegistry registry;
  MLIRContext context;
  std::mutex mutex;
  Tuning tuning;
  ScopedDiagnosticHandler diagnostics;
  CompileOptions options;
  const TargetInfo *target = nullptr; // of |options|
  OwningOpRef<ModuleOp> module;
  /// As phase lower left it: to plan again what turns out to be stale.
  OwningOpRef<ModuleOp> lowered;
  std::unique_ptr<CodeGenerator> generator;
  std::optional<int> firstCode; // of the diagnostics that have one
};

llvm::Error CompileRun::import() {
  options = request.options;
  if (llvm::Error error = resolveOptions(options))
    return error;
  target = findTarget(options.target);
  if (llvm::Error error = tuning.open(*target, options))
    return error;
  progress(Phase::Import);
  auto config = loadModelConfig(request.input,
                                {.allowUnknownKeys = request.allowUnknownKeys});
  if (!config)
    return config.takeError();
  for (const std::string &warning : config->warnings)
    log << "hadal-compile: warning: " << warning << "\n";
  std::optional<Checkpoint> checkpoint;
  if (llvm::sys::fs::is_directory(request.input)) {
    auto read = readCheckpoint(request.input);
    if (!read)
      return read.takeError();
    checkpoint = std::move(*read);
  }
  if (checkpoint && !checkpoint->passedOver.empty())
    log << "hadal-compile: " << checkpoint->passedOver << "\n";
  std::vector<std::string> warnings;
  if (llvm::Error error = resolveLayout(*config, options, warnings))
    return error;
  for (const std::string &warning : warnings)
    log << "hadal-compile: warning: " << warning << "\n";
  const Checkpoint *tensors = checkpoint ? &*checkpoint : nullptr;
  if (llvm::Error error = target->checkModel(*config, tensors, options))
    return error;
  ImportOptions importOptions;
  importOptions.f32Activations = options.f32Activations;
  importOptions.maxSeqLen = options.maxSeqLen;
  importOptions.deterministic = options.deterministic;
  importOptions.maxBatchSize = options.maxBatchSize;
  importOptions.pageSize = options.pageSize;
  importOptions.maxDrafts = options.maxDrafts;
  importOptions.roundF32Matrices = target->roundsF32Matrices;
  auto imported = importModel(&context, *config, importOptions, tensors);
  if (!imported)
    return imported.takeError();
  module = std::move(*imported);
  if (checkpoint) {
    std::string skipped;
    if (auto error = checkCheckpoint(*module, *config, *checkpoint, skipped))
      return error;
    if (!skipped.empty())
      log << "hadal-compile: " << skipped << "\n";
  }
  storeOptions(*module, options);
  if (options.ranks() > 1)
    (*module)->setAttr(dsv3::kMeshAttr, meshOf(&context, *config, options));
  if (failed(verify(*module)))
    return makeError(2001, "the imported module does not verify");
  return dump(Phase::Import);
}

llvm::Error CompileRun::resume() {
  module = parseSourceFile<ModuleOp>(request.input, &context);
  if (!module)
    return makeError(2005, "{0}: is not a valid IR file of phase '{1}'",
                     request.input, phaseWord(*request.resumed));
  auto loaded = loadOptions(*module);
  if (!loaded)
    return loaded.takeError();
  options = *loaded;
  target = findTarget(options.target);
  if (llvm::Error error = tuning.reopen(options, *request.resumed))
    return error;
  // A file of a later phase would pass through the early passes unseen.
  bool hasProgram = !module->getOps<exec::EntryOp>().empty();
  if (hasProgram != (*request.resumed >= Phase::Lower))
    return makeError(2005,
                     "{0}: holds {1}, which is not what phase '{2}' "
                     "leaves; name the phase that wrote it",
                     request.input,
                     hasProgram ? "an exec program" : "no exec program",
                     phaseWord(*request.resumed));
  return *request.resumed < Phase::Plan ? llvm::Error::success()
                                        : checkSchedules();
}

/// Memory is planned: a schedule that was edited since may not move tiles.
llvm::Error CompileRun::checkSchedules() {
  TargetPasses passes;
  target->choosePasses(options, passes);
  passes.schedules.rebuild = false;
  PassManager pm(&context);
  pm.addPass(createApplySchedules(passes.schedules));
  if (succeeded(pm.run(*module)))
    return llvm::Error::success();
  return makeError(firstCode.value_or(3008),
                   "{0}: holds a schedule that cannot be built; the message is "
                   "above",
                   request.input);
}

llvm::Error CompileRun::failure(Phase phase, StringRef pass, ModuleOp before) {
  std::string where = llvm::formatv("phase '{0}' failed in pass '{1}'",
                                    phaseWord(phase),
                                    pass.empty() ? "(verifier)" : pass);
  // What the user can mend is no reason to keep the phase's input.
  if (firstCode && getExitCode(*firstCode) != kInternalError)
    return makeError(*firstCode, "{0}; its message is above", where);
  // Beside the output; beside a pipe or a device is no place for a file.
  std::string base = request.output.empty() || request.output == "-" ||
                             OutputFile::isStream(request.output)
                         ? "hadal-compile"
                         : request.output;
  std::string path = base + ".failed-" + phaseWord(phase).str() + ".mlir";
  std::string rerun;
  if (llvm::Error error = writeText(path, print(before))) {
    llvm::consumeError(std::move(error));
    rerun = "add --dump-phases-to DIR to see its input";
  } else {
    Phase previous = static_cast<Phase>(static_cast<int>(phase) - 1);
    rerun = llvm::formatv("its input is kept; to repeat it alone: "
                          "hadal-compile {0} --compile-from={1} "
                          "--compile-to={2}",
                          path, phaseWord(previous), phaseWord(phase));
  }
  return makeError(2004, "{0}; {1}", where, rerun);
}

llvm::Error CompileRun::runPhase(Phase phase) {
  progress(phase);
  OwningOpRef<ModuleOp> before(cast<ModuleOp>((*module)->clone()));
  PassManager pm(&context);
  pm.enableVerifier(true);
  std::string failedPass;
  pm.addInstrumentation(std::make_unique<FailedPass>(failedPass));
  if (request.verifyEach)
    pm.addInstrumentation(createConservationCheck(failedPass));
  std::vector<PassSnapshot> snapshots;
  if (!request.passDumpDir.empty())
    pm.addInstrumentation(createSnapshotRecorder(snapshots));
  buildPhase(phase, pm, options);
  bool isFailed = failed(pm.run(*module)) || !failedPass.empty();
  // Also of a run that failed: what came before is what one wants to see then.
  if (!request.passDumpDir.empty()) {
    llvm::SmallString<128> directory(request.passDumpDir);
    llvm::sys::path::append(directory, dumpName(phase));
    if (llvm::Error error = writeSnapshots(*before, snapshots, directory))
      return error;
  }
  if (isFailed)
    return failure(phase, failedPass, *before);
  if (phase == Phase::Lower)
    tuning.record(*module, options);
  return dump(phase);
}

llvm::Error CompileRun::dump(Phase phase) {
  if (request.dumpDir.empty())
    return llvm::Error::success();
  return writeDump(dumpModule(*module), request.dumpDir, dumpName(phase));
}

llvm::Error CompileRun::generate() {
  auto isStale = tuning.dropStale(*module, lowered.get(), options, *generator);
  if (!isStale)
    return isStale.takeError();
  if (*isStale) {
    module = std::move(lowered);
    if (llvm::Error error = runPhase(Phase::Plan))
      return error;
  }
  if (llvm::Error error = tuning.report(*module, options))
    return error;
  progress(Phase::Artifact);
  OwningOpRef<ModuleOp> before(cast<ModuleOp>((*module)->clone()));
  // Code generation follows use lists, whose order a file does not keep. From
  // its text a program gives the same bytes whichever phase the run began at.
  module = parseSourceString<ModuleOp>(print(*before), &context);
  if (!module)
    return makeError(2001, "the plan does not parse back");
  TargetCode code;
  if (failed(generator->run(*module, code, log)))
    return failure(Phase::Artifact, "code generation", *before);
  auto bytes = serializeArtifact(*module, code);
  if (!bytes)
    return bytes.takeError();
  std::string report;
  llvm::raw_string_ostream reportStream(report);
  if (llvm::Error error =
          printMemoryReport(*module, memoryOf(code), reportStream))
    return error;
  if (llvm::Error error = writeOutput(request.output, *bytes))
    return error;
  log << report;
  std::string what;
  for (const KernelImage &image : code.images)
    what += (what.empty() ? "" : ", ") + image.variant;
  if (code.images.empty())
    what = code.ptxas.empty() ? "PTX only"
                              : "PTX and cubin of ptxas " + code.ptxas;
  else
    what = (code.images.size() == 1 ? "image " : "images ") + what;
  log << llvm::formatv("hadal-compile: wrote {0}: {1} kernels, {2}, {3:F2} "
                       "MiB\n",
                       request.output, code.kernels.size(), what,
                       bytes->size() / 1048576.0);
  return llvm::Error::success();
}

llvm::Error CompileRun::plan() {
  MemoryByKernel memory;
  if (failed(target->plan(*module, options, memory)))
    return makeError(2004, "the kernels of the plan do not lower; run without "
                           "--plan-only to keep their input");
  return printMemoryReport(*module, memory, llvm::outs());
}

llvm::Error CompileRun::run() {
  if (llvm::Error error = request.resumed ? resume() : import())
    return error;
  Phase last = request.planOnly ? Phase::Plan : request.last;
  if (llvm::Error error = checkFlag(*target, "--ptxas", request.ptxas))
    return error;
  if (last == Phase::Artifact) {
    CodegenRequest codegen{request.threads, request.ptxas, request.kernelCache,
                           codegenDumpDir()};
    auto prepared = target->prepare(options, codegen);
    if (!prepared)
      return prepared.takeError();
    generator = std::move(*prepared);
  }
  Phase done = request.resumed.value_or(Phase::Import);
  if (done == Phase::Lower)
    if (llvm::Error error = edit())
      return error;
  for (const PhaseInfo &info : allPhases()) {
    if (info.phase <= done || info.phase > last ||
        info.phase == Phase::Artifact)
      continue;
    if (info.phase == Phase::Plan && (*module)->hasAttr(exec::kTunedAttr))
      lowered = cast<ModuleOp>((*module)->clone());
    if (llvm::Error error = runPhase(info.phase))
      return error;
    if (info.phase == Phase::Lower)
      if (llvm::Error error = edit())
        return error;
  }
  if (request.planOnly)
    return plan();
  if (last == Phase::Artifact)
    return generate();
  if (request.consume)
    return request.consume(*module);
  std::string text = print(*module);
  if (request.output.empty() || request.output == "-") {
    llvm::outs() << text;
    return llvm::Error::success();
  }
  return writeText(request.output, text);
}

} // namespace

llvm::Error compile(const CompileRequest &request, raw_ostream &log) {
  return CompileRun(request, log).run();
}

} // namespace hadal
