// LLVM IR to ELF objects, one variant at a time.
#include "compiler/codegen/cpu/Image.h"

#include "compiler/codegen/loops/MaskedStores.h"
#include "frontend/Error.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

#include <mutex>

using namespace llvm;

namespace hadal::cpu {

namespace {

constexpr const char *kTriple = "x86_64-unknown-linux-gnu";

/// What a variant may use. Nothing beyond what the runtime tests for.
struct VariantTarget {
  const char *cpu, *features, *tune, *vectorWidth;
};

VariantTarget targetOf(Variant variant) {
  switch (variant) {
  case Variant::v3:
    return {"x86-64-v3", "", "haswell", "256"};
  case Variant::v4:
    return {"x86-64-v4", "", "znver5", "512"};
  case Variant::v4Bf16Vbmi:
    return {"x86-64-v4", "+avx512bf16,+avx512vbmi", "znver5", "512"};
  }
  llvm_unreachable("a variant");
}

std::unique_ptr<TargetMachine> createTargetMachine(Variant variant,
                                                   std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  Triple triple(kTriple);
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  VariantTarget v = targetOf(variant);
  TargetOptions options;
  // A hot loop of 28 instructions that starts off a 64-byte line loses 5-15 %.
  options.LoopAlignment = 64;
  return std::unique_ptr<TargetMachine>(target->createTargetMachine(
      triple, v.cpu, v.features, options, Reloc::PIC_, CodeModel::Small,
      CodeGenOptLevel::Default));
}

/// Gives every function the variant's features, and takes from every pass the
/// idea that a loop could be a call of libc.
void setAttributes(Module &module, Variant variant) {
  VariantTarget v = targetOf(variant);
  for (Function &function : module) {
    if (function.isIntrinsic())
      continue;
    function.setDSOLocal(true);
    function.addFnAttr("target-cpu", v.cpu);
    if (*v.features)
      function.addFnAttr("target-features", v.features);
    function.addFnAttr("tune-cpu", v.tune);
    function.addFnAttr("prefer-vector-width", v.vectorWidth);
    function.addFnAttr("no-builtins");
    function.addFnAttr(Attribute::NoUnwind);
    if (!function.isDeclaration())
      function.setAlignment(Align(64));
  }
}

} // namespace

Expected<std::string> compileObject(StringRef bitcode, Variant variant,
                                    bool scheduled) {
  LLVMContext context;
  Expected<std::unique_ptr<Module>> parsed =
      parseBitcodeFile(MemoryBufferRef(bitcode, "kernels"), context);
  if (!parsed)
    return parsed.takeError();
  Module &module = **parsed;

  std::string error;
  std::unique_ptr<TargetMachine> machine = createTargetMachine(variant, error);
  if (!machine)
    return makeError(3002, "no x86-64 code generator: {0}", error);
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  setAttributes(module, variant);

  TargetLibraryInfoImpl noLibrary(machine->getTargetTriple());
  noLibrary.disableAllFunctions();

  PipelineTuningOptions tuning;
  tuning.LoopVectorization = !scheduled;
  tuning.SLPVectorization = !scheduled;
  tuning.LoopInterleaving = !scheduled;
  // Unrolling the loops of attention costs a quarter of all compile time and
  // code, and what is hot is in the forms.
  tuning.LoopUnrolling = false;
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager sccs;
  ModuleAnalysisManager modules;
  PassBuilder builder(machine.get(), tuning);
  functions.registerPass([&] { return TargetLibraryAnalysis(noLibrary); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O2)
      .run(module, modules);
  splitOneLaneStores(module);

  SmallVector<char, 0> object;
  raw_svector_ostream stream(object);
  legacy::PassManager codegen;
  codegen.add(new TargetLibraryInfoWrapperPass(noLibrary));
  if (machine->addPassesToEmitFile(codegen, stream, nullptr,
                                   CodeGenFileType::ObjectFile))
    return makeError(3002, "the x86-64 target cannot emit an object");
  codegen.run(module);
  return std::string(object.begin(), object.end());
}

} // namespace hadal::cpu
