// Prints the dsv3 module of a model directory: the first phase of
// hadal-compile, alone.
#include "compiler/driver/Register.h"
#include "dialects/Dsv3/IR/Dsv3.h"
#include "frontend/Error.h"
#include "frontend/Import.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Verifier.h"
#include "passes/Identity/Names.h"
#include "runtime/schemas/InputLayout.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

using namespace hadal;
namespace cl = llvm::cl;

/// Prints |error| and returns the exit code of its table entry.
static int report(llvm::Error error) {
  int code = 1;
  llvm::handleAllErrors(std::move(error), [&](const CodedError &e) {
    llvm::errs() << "hadal-import: error ";
    e.log(llvm::errs());
    llvm::errs() << "\n";
    code = e.getExitCode();
  });
  return code;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::OptionCategory category("hadal-import options");
  cl::opt<std::string> path(cl::Positional, cl::Required,
                            cl::desc("<MODEL_DIR or config file>"),
                            cl::cat(category));
  cl::opt<std::string> activations(
      "activations", cl::desc("element type of stored activations"),
      cl::value_desc("bf16|f32"), cl::init("bf16"), cl::cat(category));
  cl::opt<int64_t> maxSeqLen("max-seq-len", cl::init(4096), cl::cat(category));
  cl::opt<bool> allowUnknownKeys(
      "allow-unknown-keys",
      cl::desc("warn of keys of config.json that are not known"),
      cl::cat(category));
  cl::opt<int64_t> mtp(
      "mtp", cl::desc("most tokens that the layer of multi-token prediction "
                      "drafts (0: the layer is left out)"),
      cl::value_desc("K"), cl::init(0), cl::cat(category));
  cl::opt<int64_t> maxBatch("max-batch-size", cl::init(16), cl::cat(category));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "config.json -> dsv3 IR\n");
  if (activations != "bf16" && activations != "f32")
    return report(makeError(2002, "--activations must be bf16 or f32, got {0}",
                            activations.getValue()));
  if (maxSeqLen < 1 || maxBatch < 1)
    return report(
        makeError(2002, "--max-seq-len and --max-batch-size must be positive"));

  if (mtp < 0 || mtp > artifact::kMaxDrafts)
    return report(makeError(2002, "--mtp takes a number from 0 to {0}, found {1}",
                            artifact::kMaxDrafts, mtp.getValue()));

  auto config =
      loadModelConfig(path, {.allowUnknownKeys = allowUnknownKeys});
  if (!config)
    return report(config.takeError());
  for (const std::string &warning : config->warnings)
    llvm::errs() << "hadal-import: warning: " << warning << "\n";
  std::optional<Checkpoint> checkpoint;
  if (llvm::sys::fs::is_directory(path)) {
    auto read = readCheckpoint(path);
    if (!read)
      return report(read.takeError());
    checkpoint = std::move(*read);
  }
  if (checkpoint && !checkpoint->passedOver.empty())
    llvm::errs() << "hadal-import: " << checkpoint->passedOver << "\n";
  mlir::DialectRegistry registry;
  registerAll(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<dsv3::Dsv3Dialect>();
  ImportOptions options;
  options.f32Activations = activations == "f32";
  options.maxSeqLen = maxSeqLen;
  options.maxBatchSize = maxBatch;
  options.maxDrafts = mtp;
  auto module = importModel(&context, *config, options,
                            checkpoint ? &*checkpoint : nullptr);
  if (!module)
    return report(module.takeError());
  if (checkpoint) {
    std::string skipped;
    if (auto e = checkCheckpoint(**module, *config, *checkpoint, skipped))
      return report(std::move(e));
    if (!skipped.empty())
      llvm::errs() << "hadal-import: " << skipped << "\n";
  }
  if (failed(mlir::verify(**module)))
    return 1;
  (*module)->print(llvm::outs(), getDumpFlags());
  return 0;
}
