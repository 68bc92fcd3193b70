// mlir-opt with our dialects and passes, which may lose no operation's name.
#include "compiler/driver/Register.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "passes/Identity/Conservation.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registerAllPasses();
  hadal::registerAll(registry);
  auto [inputName, outputName] = registerAndParseCLIOptions(
      argc, argv, "hadal optimizer driver\n", registry);
  MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  if (config.shouldListPasses()) {
    printRegisteredPasses();
    return EXIT_SUCCESS;
  }
  std::string lossyPass;
  config.setPassPipelineSetupFn([asked = config, &lossyPass](PassManager &pm) {
    pm.addInstrumentation(hadal::createConservationCheck(lossyPass));
    return asked.setupPassPipeline(pm);
  });
  std::string error;
  auto input = openInputFile(inputName, &error);
  auto output = input ? openOutputFile(outputName, &error) : nullptr;
  if (!output) {
    llvm::errs() << error << "\n";
    return EXIT_FAILURE;
  }
  if (failed(MlirOptMain(output->os(), std::move(input), registry, config)))
    return EXIT_FAILURE;
  output->keep();
  // A test that expects the error has seen it.
  bool isLossy = !lossyPass.empty() && !config.shouldVerifyDiagnostics();
  return isLossy ? EXIT_FAILURE : EXIT_SUCCESS;
}
