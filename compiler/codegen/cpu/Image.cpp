// LLVM dialect to bitcode to images.
#include "compiler/codegen/cpu/Image.h"

#include "compiler/codegen/ReportedError.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "dialects/Diagnostics.h"

using namespace mlir;

namespace hadal::cpu {

FailureOr<std::string> emitBitcode(ModuleOp module) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context, "kernels");
  if (!llvmModule)
    return emitCodedError(module, 3002)
           << "the LLVM dialect does not translate";
  std::string bitcode;
  llvm::raw_string_ostream stream(bitcode);
  llvm::WriteBitcodeToFile(*llvmModule, stream);
  return bitcode;
}

FailureOr<CpuImage> compileImage(ModuleOp llvmDialectModule,
                                 ArrayRef<StringRef> kernels,
                                 Variant variant, bool scheduled) {
  FailureOr<std::string> bitcode = emitBitcode(llvmDialectModule);
  if (failed(bitcode))
    return failure();
  llvm::Expected<std::string> object =
      compileObject(*bitcode, variant, scheduled);
  if (!object)
    return emitReported(llvmDialectModule, takeError(object.takeError()));
  std::vector<std::string> names;
  for (StringRef kernel : kernels)
    names.push_back(kernel.str());
  llvm::Expected<CpuImage> image = linkImage({*object}, names, variant);
  if (!image)
    return emitReported(llvmDialectModule, takeError(image.takeError()));
  return std::move(*image);
}

} // namespace hadal::cpu
