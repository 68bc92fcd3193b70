#include "compiler/driver/Compiler.h"

#include "compiler/artifact/FileWriter.h"
#include "compiler/artifact/Writer.h"
#include "compiler/codegen/cpu/CpuKernels.h"
#include "compiler/codegen/nvptx/Chip.h"
#include "compiler/driver/MemoryReport.h"
#include "compiler/driver/Register.h"
#include "compiler/driver/Sm90Code.h"
#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "frontend/Import.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Timer.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace hadal {

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
        diagnostics(&context, [&](Diagnostic &d) { return report(d); }) {
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
    StringRef severity;
    switch (diagnostic.getSeverity()) {
    case DiagnosticSeverity::Error:
      severity = "error: ";
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
  llvm::Error runPhase(Phase phase);
  llvm::Error generate();
  LogicalResult generateCpu(TargetCode &code);
  LogicalResult generateSm90a(TargetCode &code);
  llvm::Error dump(Phase phase);
  llvm::Error failure(Phase phase, StringRef pass, ModuleOp before);
  static std::string print(ModuleOp module) {
    std::string text;
    llvm::raw_string_ostream os(text);
    module.print(os);
    os << "\n";
    return text;
  }
  static llvm::Error writeText(StringRef path, const std::string &text) {
    return writeFileAtomically(
        path,
        ArrayRef(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
  }

  const CompileRequest &request;
  raw_ostream &log;
  DialectRegistry registry;
  MLIRContext context;
  std::mutex mutex;
  ScopedDiagnosticHandler diagnostics;
  CompileOptions options;
  OwningOpRef<ModuleOp> module;
  std::optional<nvptx::Ptxas> ptxas; // of sm_90a
};

llvm::Error CompileRun::import() {
  options = request.options;
  if (llvm::Error error = validateOptions(options))
    return error;
  progress(Phase::Import);
  auto config =
      loadModelConfig(request.input, {.allowUnknownKeys = request.allowUnknownKeys});
  if (!config)
    return config.takeError();
  for (const std::string &warning : config->warnings)
    log << "hadal-compile: warning: " << warning << "\n";
  if (options.target == "sm_90a")
    if (llvm::Error error = checkSm90aModel(*config))
      return error;
  std::optional<Checkpoint> checkpoint;
  if (llvm::sys::fs::is_directory(request.input)) {
    auto read = readCheckpoint(request.input);
    if (!read)
      return read.takeError();
    checkpoint = std::move(*read);
  }
  if (checkpoint && !checkpoint->passedOver.empty())
    log << "hadal-compile: " << checkpoint->passedOver << "\n";
  ImportOptions importOptions;
  importOptions.f32Activations = options.f32Activations;
  importOptions.maxSeqLen = options.maxSeqLen;
  importOptions.maxBatchSize = options.maxBatchSize;
  importOptions.pageSize = options.pageSize;
  importOptions.roundF32Matrices = options.target != "cpu";
  auto imported = importModel(&context, *config, importOptions,
                              checkpoint ? &*checkpoint : nullptr);
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
  // A file of a later phase would pass through the early passes unseen.
  bool hasProgram = !module->getOps<exec::EntryOp>().empty();
  if (hasProgram != (*request.resumed >= Phase::Lower))
    return makeError(2005,
                     "{0}: holds {1}, which is not what phase '{2}' "
                     "leaves; name the phase that wrote it",
                     request.input,
                     hasProgram ? "an exec program" : "no exec program",
                     phaseWord(*request.resumed));
  return llvm::Error::success();
}

llvm::Error CompileRun::failure(Phase phase, StringRef pass, ModuleOp before) {
  std::string base = request.output.empty() || request.output == "-"
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
  return makeError(2004, "phase '{0}' failed in pass '{1}'; {2}",
                   phaseWord(phase), pass.empty() ? "(verifier)" : pass, rerun);
}

llvm::Error CompileRun::runPhase(Phase phase) {
  progress(phase);
  OwningOpRef<ModuleOp> before(cast<ModuleOp>((*module)->clone()));
  PassManager pm(&context);
  pm.enableVerifier(true);
  std::string failedPass;
  pm.addInstrumentation(std::make_unique<FailedPass>(failedPass));
  buildPhase(phase, pm, options);
  if (failed(pm.run(*module)))
    return failure(phase, failedPass, *before);
  return dump(phase);
}

llvm::Error CompileRun::dump(Phase phase) {
  if (request.dumpDir.empty())
    return llvm::Error::success();
  if (std::error_code ec = llvm::sys::fs::create_directories(request.dumpDir))
    return makeError(4006, "{0}: cannot create the directory: {1}",
                     request.dumpDir, ec.message());
  llvm::SmallString<128> path(request.dumpDir);
  llvm::sys::path::append(
      path, llvm::formatv("{0}-{1}.mlir", static_cast<int>(phase) + 1,
                          phaseWord(phase))
                .str());
  return writeText(path, print(*module));
}

llvm::Error CompileRun::generate() {
  progress(Phase::Artifact);
  OwningOpRef<ModuleOp> before(cast<ModuleOp>((*module)->clone()));
  // Code generation follows use lists, whose order a file does not keep. From
  // its text a program gives the same bytes whichever phase the run began at.
  module = parseSourceString<ModuleOp>(print(*before), &context);
  if (!module)
    return makeError(2001, "the plan does not parse back");
  TargetCode code;
  bool isCpu = options.target == "cpu";
  if (failed(isCpu ? generateCpu(code) : generateSm90a(code)))
    return failure(Phase::Artifact, "code generation", *before);
  auto bytes = serializeArtifact(*module, code);
  if (!bytes)
    return bytes.takeError();
  if (llvm::Error error = writeFileAtomically(request.output, *bytes))
    return error;
  uint64_t scratch = 0;
  llvm::StringMap<KernelWorkspace> workspaces;
  for (const KernelFacts &kernel : code.kernels) {
    scratch = std::max(scratch, kernel.scratchBytes);
    if (kernel.device)
      workspaces[kernel.name] = {kernel.device->workspacePerItem,
                                 kernel.device->workspaceFixed};
  }
  uint64_t workspace = workspaceBytes(*module, [&](StringRef kernel) {
    return workspaces.lookup(kernel);
  });
  if (llvm::Error error =
          printMemoryReport(*module, scratch, workspace, log))
    return error;
  std::string what =
      isCpu ? llvm::formatv("{0} images", code.images.size()).str()
      : code.ptxas.empty() ? "PTX only"
                           : "PTX and cubin of ptxas " + code.ptxas;
  log << llvm::formatv("hadal-compile: wrote {0}: {1} kernels, {2}, {3:F2} "
                       "MiB\n",
                       request.output, code.kernels.size(), what,
                       bytes->size() / 1048576.0);
  return llvm::Error::success();
}

LogicalResult CompileRun::generateCpu(TargetCode &code) {
  cpu::CpuOptions cpuOptions;
  cpuOptions.threads = request.threads;
  cpu::CpuKernels kernels;
  if (failed(cpu::compileCpuKernels(*module, cpuOptions, kernels)))
    return mlir::failure();
  for (cpu::CpuKernel &kernel : kernels.kernels)
    code.kernels.push_back({std::move(kernel.name), kernel.scratchBytes,
                            std::move(kernel.facts), std::nullopt});
  for (cpu::CpuImage &image : kernels.images)
    code.images.push_back({std::move(image.variant), std::move(image.bytes),
                           std::move(image.entryOffsets)});
  return success();
}

LogicalResult CompileRun::generateSm90a(TargetCode &code) {
  nvptx::Sm90Options targetOptions;
  targetOptions.chip = nvptx::findChip(options.chip);
  targetOptions.threads = request.threads;
  targetOptions.ptxas = ptxas;
  targetOptions.cacheDirectory =
      nvptx::KernelCache::resolveDirectory(request.kernelCache);
  nvptx::Sm90Module kernels;
  LogicalResult compiled = nvptx::compileSm90Kernels(*module, registry,
                                                     targetOptions, kernels);
  // Also of kernels that fail: their sm90 form is what one wants to see then.
  if (!request.dumpDir.empty()) {
    llvm::SmallString<128> directory(request.dumpDir);
    llvm::sys::path::append(directory, "9-artifact");
    if (llvm::Error error = dumpSm90a(*module, *targetOptions.chip, kernels,
                                      directory))
      return module->emitError(llvm::toString(std::move(error)));
  }
  if (failed(compiled))
    return mlir::failure();
  if (kernels.cached)
    log << llvm::formatv("hadal-compile: {0} of {1} kernels from the cache in "
                         "{2}\n",
                         kernels.cached, kernels.kernels.size(),
                         targetOptions.cacheDirectory);
  if (!kernels.cacheProblem.empty())
    log << llvm::formatv("hadal-compile: warning: the kernel cache in {0} "
                         "cannot be written: {1}; --kernel-cache=DIR chooses "
                         "another place\n",
                         targetOptions.cacheDirectory, kernels.cacheProblem);
  if (!ptxas)
    log << "hadal-compile: ptxas was not "
        << (request.ptxas == "none" ? "used (--ptxas=none)" : "found")
        << ": the artifact holds PTX only, which the CUDA driver assembles at "
           "load\n";
  code = describeSm90a(kernels, ptxas);
  return success();
}

llvm::Error CompileRun::run() {
  if (llvm::Error error = request.resumed ? resume() : import())
    return error;
  Phase last = request.planOnly ? Phase::Plan : request.last;
  for (auto [name, value] : {std::pair<StringRef, StringRef>{
                                 "--ptxas", request.ptxas},
                             {"--kernel-cache", request.kernelCache}})
    if (options.target == "cpu" && !value.empty())
      return makeError(3004, "{0}={1} belongs to --target=sm_90a", name, value);
  // A mistaken --ptxas is told at once, not after the compilation.
  if (options.target == "sm_90a" && last == Phase::Artifact) {
    auto found = nvptx::findPtxas(request.ptxas);
    if (!found)
      return found.takeError();
    ptxas = std::move(*found);
  }
  Phase done = request.resumed.value_or(Phase::Import);
  for (const PhaseInfo &info : allPhases()) {
    if (info.phase <= done || info.phase > last ||
        info.phase == Phase::Artifact)
      continue;
    if (llvm::Error error = runPhase(info.phase))
      return error;
  }
  if (request.planOnly && options.target != "cpu") {
    return printMemoryReport(
        *module, /*scratchBytes=*/0,
        planSm90aWorkspace(*module, *nvptx::findChip(options.chip)),
        llvm::outs());
  }
  if (request.planOnly) {
    auto scratch = cpu::planCpuScratch(*module, {});
    if (failed(scratch))
      return makeError(2004, "the kernels of the plan do not lower; run without "
                             "--plan-only to keep their input");
    return printMemoryReport(*module, *scratch, /*workspaceBytes=*/0,
                             llvm::outs());
  }
  if (last == Phase::Artifact)
    return generate();
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
