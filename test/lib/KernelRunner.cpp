#include "test/lib/KernelRunner.h"

#include <cstdlib>
#include <cstring>

#include "compiler/codegen/loops/MaskedStores.h"
#include "compiler/codegen/loops/TileToLoops.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

using namespace mlir;

namespace hadal::test {

KernelRunner::KernelRunner() = default;
KernelRunner::~KernelRunner() = default;

void registerKernelDialects(DialectRegistry &registry) {
  registry.insert<tile::TileDialect, arith::ArithDialect, math::MathDialect,
                  scf::SCFDialect, func::FuncDialect, LLVM::LLVMDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

static std::unique_ptr<llvm::TargetMachine>
makeMachine(llvm::orc::JITTargetMachineBuilder &builder, std::string &error) {
  auto machine = builder.createTargetMachine();
  if (!machine) {
    error = llvm::toString(machine.takeError());
    return nullptr;
  }
  return std::move(*machine);
}

static void optimize(llvm::Module &module, llvm::TargetMachine *machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
  splitOneLaneStores(module);
}

std::unique_ptr<KernelRunner> KernelRunner::fromText(const std::string &text,
                                                     bool f64,
                                                     std::string &error) {
  DialectRegistry registry;
  registerKernelDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  std::string messages;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    messages += diagnostic.str() + "\n";
    return success();
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  if (!module) {
    error = "parse: " + messages;
    return nullptr;
  }
  auto runner = fromModule(*module, f64, error);
  if (!runner)
    error += messages;
  return runner;
}

std::unique_ptr<KernelRunner>
KernelRunner::fromModule(ModuleOp original, bool f64, std::string &error) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  MLIRContext *context = original.getContext();
  DialectRegistry registry;
  registerKernelDialects(registry);
  context->appendDialectRegistry(registry);
  OwningOpRef<ModuleOp> module = original.clone();
  auto runner = std::unique_ptr<KernelRunner>(new KernelRunner);

  TileToLoopsOptions options;
  options.f64 = f64;
  PassManager passes(context);
  passes.addPass(createLowerTileToLoopsPass(options));
  if (failed(passes.run(*module))) {
    error = "lowering to loops failed: ";
    return nullptr;
  }
  for (auto func : module->getOps<func::FuncOp>())
    if (auto bytes = func->getAttrOfType<IntegerAttr>("hadal.scratch_bytes"))
      runner->kernels.emplace_back(func.getSymName().str(), bytes.getInt());
  PassManager toLLVM(context);
  buildTileToLLVMDialectPipeline(toLLVM);
  if (failed(toLLVM.run(*module))) {
    error = "lowering to the LLVM dialect failed: ";
    return nullptr;
  }

  auto llvmContext = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(*module, *llvmContext);
  if (!code) {
    error = "translation to LLVM IR failed: ";
    return nullptr;
  }
  auto host = llvm::orc::JITTargetMachineBuilder::detectHost();
  if (!host) {
    error = llvm::toString(host.takeError());
    return nullptr;
  }
  host->setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  std::unique_ptr<llvm::TargetMachine> machine = makeMachine(*host, error);
  if (!machine)
    return nullptr;
  code->setDataLayout(machine->createDataLayout());
  code->setTargetTriple(machine->getTargetTriple());
  optimize(*code, machine.get());

  // No generator for the process's symbols: outside references do not link.
  auto jit = llvm::orc::LLJITBuilder()
                 .setJITTargetMachineBuilder(*host)
                 .setLinkProcessSymbolsByDefault(false)
                 .setPlatformSetUp(llvm::orc::setUpInactivePlatform)
                 .create();
  if (!jit) {
    error = llvm::toString(jit.takeError());
    return nullptr;
  }
  if (auto failure = (*jit)->addIRModule(llvm::orc::ThreadSafeModule(
          std::move(code), std::move(llvmContext)))) {
    error = llvm::toString(std::move(failure));
    return nullptr;
  }
  for (auto &[name, bytes] : runner->kernels) {
    auto symbol = (*jit)->lookup(name);
    if (!symbol) {
      error = llvm::toString(symbol.takeError());
      return nullptr;
    }
  }
  runner->jit = std::move(*jit);
  return runner;
}

int64_t KernelRunner::scratchBytes(const std::string &kernel) const {
  for (auto &[name, bytes] : kernels)
    if (name == kernel)
      return bytes;
  return -1;
}

std::string KernelRunner::run(const std::string &kernel,
                              const std::vector<uint64_t> &args, int64_t begin,
                              int64_t end) {
  int64_t bytes = scratchBytes(kernel);
  if (bytes < 0)
    return "no kernel " + kernel;
  auto symbol = jit->lookup(kernel);
  if (!symbol)
    return llvm::toString(symbol.takeError());
  using Function = void (*)(const uint64_t *, int64_t, int64_t, uint8_t *);
  constexpr size_t kGuard = 4096;
  size_t size = (static_cast<size_t>(bytes) + kGuard + 63) / 64 * 64;
  std::unique_ptr<uint8_t, decltype(&std::free)> scratch(
      static_cast<uint8_t *>(std::aligned_alloc(64, size)), &std::free);
  std::memset(scratch.get(), 0xff, size);
  symbol->toPtr<Function>()(args.data(), begin, end, scratch.get());
  for (size_t i = bytes; i < size; ++i)
    if (scratch.get()[i] != 0xff)
      return kernel + " writes behind its scratch";
  return {};
}

} // namespace hadal::test
