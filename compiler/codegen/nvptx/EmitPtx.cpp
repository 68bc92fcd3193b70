#include "compiler/codegen/nvptx/EmitPtx.h"

#include <mutex>

#include "compiler/codegen/nvptx/Passes.h"
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Scalar/Scalarizer.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

using namespace mlir;

namespace hadal::nvptx {

static constexpr const char *kTriple = "nvptx64-nvidia-cuda";
static constexpr const char *kChip = "sm_90a";
static constexpr const char *kFeatures = "+ptx80";

/// What the llvm dialect cannot say of a kernel: its tensor maps are grid
/// constants (else they would be copied to local memory, where TMA cannot read
/// them), and inline PTX may not move into divergent code.
static void finishFunctions(ModuleOp module, llvm::Module &llvmModule) {
  for (auto func : module.getOps<LLVM::LLVMFuncOp>()) {
    auto maps = func->getAttrOfType<IntegerAttr>("hadal.tensor_maps");
    llvm::Function *function = llvmModule.getFunction(func.getSymName());
    if (!maps || !function)
      continue;
    unsigned count = function->arg_size();
    for (unsigned i = count - maps.getInt(); i < count; ++i)
      function->addParamAttr(i, llvm::Attribute::get(llvmModule.getContext(),
                                                     "nvvm.grid_constant"));
  }
  for (llvm::Function &function : llvmModule)
    for (llvm::BasicBlock &block : function)
      for (llvm::Instruction &instruction : block)
        if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction))
          if (call->isInlineAsm() && !call->doesNotAccessMemory())
            call->setConvergent();
}

static LogicalResult lowerToLLVM(ModuleOp module) {
  PassManager pm(module.getContext());
  pm.addPass(createVerifySm90());
  pm.addPass(createConvertSm90());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  return pm.run(module);
}

FailureOr<std::string> emitPtx(ModuleOp module) {
  if (failed(lowerToLLVM(module)))
    return failure();

  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);

  // Kernels are compiled on several threads.
  static std::once_flag initialized;
  std::call_once(initialized, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  llvm::Triple triple(kTriple);
  std::string message;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return module.emitError("this LLVM has no NVPTX target: ") << message;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, kChip, kFeatures, llvm::TargetOptions(), std::nullopt,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context, "hadal");
  if (!llvmModule)
    return module.emitError("translation to LLVM IR failed");
  llvmModule->setTargetTriple(triple);
  llvmModule->setDataLayout(machine->createDataLayout());
  finishFunctions(module, *llvmModule);

  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PassBuilder passes(machine.get());
  passes.registerModuleAnalyses(mam);
  passes.registerCGSCCAnalyses(cgam);
  passes.registerFunctionAnalyses(fam);
  passes.registerLoopAnalyses(lam);
  passes.crossRegisterProxies(lam, fam, cgam, mam);
  // Fragments are vectors up to here; a thread's registers are scalars.
  llvm::ModulePassManager pipeline;
  pipeline.addPass(
      llvm::createModuleToFunctionPassAdaptor(llvm::ScalarizerPass()));
  pipeline.addPass(
      passes.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2));
  pipeline.run(*llvmModule, mam);

  llvm::SmallString<0> ptx;
  llvm::raw_svector_ostream stream(ptx);
  llvm::legacy::PassManager codegen;
  if (machine->addPassesToEmitFile(codegen, stream, nullptr,
                                   llvm::CodeGenFileType::AssemblyFile))
    return module.emitError("the NVPTX target cannot emit PTX text");
  codegen.run(*llvmModule);
  return std::string(ptx.str());
}

} // namespace hadal::nvptx
