// LLVM dialect to bitcode to images.
#include "compiler/codegen/cpu/Image.h"

#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

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
    return module.emitError("H3002: the LLVM dialect does not translate");
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
  llvm::Expected<ObjectBytes> object =
      compileObject(*bitcode, variant, scheduled);
  if (!object)
    return llvmDialectModule.emitError(llvm::toString(object.takeError()));
  std::vector<std::string> names;
  for (StringRef kernel : kernels)
    names.push_back(kernel.str());
  std::vector<ObjectBytes> objects;
  objects.push_back(std::move(*object));
  llvm::Expected<CpuImage> image = linkImage(objects, names, variant);
  if (!image)
    return llvmDialectModule.emitError(llvm::toString(image.takeError()));
  return std::move(*image);
}

} // namespace hadal::cpu
