// LLVM IR to flat, relocated images.
#pragma once

#include <string>
#include <vector>

#include "compiler/codegen/cpu/CpuKernels.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

namespace llvm {
class Module;
}

namespace hadal::cpu {

/// Translates a module of the LLVM dialect to bitcode.
llvm::FailureOr<std::string> emitBitcode(mlir::ModuleOp llvmDialectModule);

/// Runs the optimiser and the code generator of |variant| over one module given
/// as bitcode. Thread-safe: owns its LLVMContext. The library functions of libc
/// and libm are unknown to every pass. |scheduled| code (the dot forms) is
/// blocked and unrolled already: loops are left as they are. Returns a
/// relocatable ELF object.
llvm::Expected<std::string> compileObject(llvm::StringRef bitcode,
                                          Variant variant,
                                          bool scheduled = false);

/// Lays the code and read-only data of |objects| out in one blob, in order, and
/// resolves all their relocations against each other. Refuses (H3003) a
/// reference to a symbol that no object defines, an absolute address, and a
/// writable section. |entries| are the names of the kernels.
llvm::Expected<CpuImage> linkImage(llvm::ArrayRef<llvm::StringRef> objects,
                                   llvm::ArrayRef<std::string> entries,
                                   Variant variant);

/// Translates |llvmDialectModule| and compiles it to one image: the path of
/// tests and of small modules. |kernels| name the entries.
llvm::FailureOr<CpuImage> compileImage(mlir::ModuleOp llvmDialectModule,
                                       llvm::ArrayRef<llvm::StringRef> kernels,
                                       Variant variant,
                                       bool scheduled = false);

} // namespace hadal::cpu
