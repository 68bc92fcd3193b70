// hadal-translate: a file of tile kernels to target code, for tests and reading.
#include <cstdlib>

#include "cost/Chip.h"
#include "compiler/codegen/nvptx/EmitPtx.h"
#include "compiler/codegen/nvptx/Passes.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"

namespace cl = llvm::cl;

static cl::opt<std::string> input(cl::Positional, cl::init("-"),
                                  cl::desc("<file of tile kernels>"));
static cl::opt<std::string> output("o", cl::init("-"),
                                   cl::desc("output file, - for stdout"));
static cl::opt<bool> toPtx("tile-to-ptx",
                           cl::desc("emit sm_90a PTX of every kernel"));

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "hadal target code emitter\n");
  if (!toPtx) {
    llvm::errs() << "error H5011: say what to emit: --tile-to-ptx\n";
    return 2;
  }
  mlir::DialectRegistry registry;
  registry.insert<hadal::tile::TileDialect, mlir::arith::ArithDialect,
                  mlir::math::MathDialect, mlir::scf::SCFDialect,
                  mlir::LLVM::LLVMDialect>();
  mlir::MLIRContext context(registry);
  std::string message;
  auto file = mlir::openInputFile(input, &message);
  if (!file) {
    llvm::errs() << "error H2005: " << message << "\n";
    return 3;
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(file), llvm::SMLoc());
  mlir::SourceMgrDiagnosticHandler handler(sources, &context);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return 3;
  mlir::PassManager lower(&context);
  lower.addPass(hadal::nvptx::createLowerTileToSm90());
  if (failed(lower.run(*module)))
    return 1;
  mlir::FailureOr<std::string> ptx = hadal::nvptx::emitPtx(*module);
  if (failed(ptx))
    return 1;
  auto out = mlir::openOutputFile(output, &message);
  if (!out) {
    llvm::errs() << "error H4006: " << message << "\n";
    return 4;
  }
  out->os() << *ptx;
  out->keep();
  return 0;
}
