// What code generation made of some kernels for one variant, and its form in
// the kernel cache.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/codegen/KernelCache.h"
#include "compiler/codegen/cpu/Forms.h"

namespace hadal::cpu {

/// Some kernels as one object. What they need and the forms that they call are
/// the same for every variant.
struct CompiledChunk {
  std::vector<CpuKernel> kernels;
  std::vector<FormKey> forms;
  std::string object; ///< ELF, relocatable
};

/// The key of the kernels |tileText| (printed, schedules included).
KernelKey keyOfChunk(llvm::StringRef tileText, Variant variant);
/// The key of the object that holds |forms|.
KernelKey keyOfForms(llvm::ArrayRef<FormKey> forms, Variant variant);

/// |chunk| as the content of a cache entry, and back; nothing if |content| is
/// not all of one.
std::string encodeChunk(const CompiledChunk &chunk);
std::optional<CompiledChunk> decodeChunk(llvm::StringRef content);

} // namespace hadal::cpu
