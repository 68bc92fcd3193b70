// Which build of the compiler this is, for the key of what it keeps.
#pragma once

#include <string>
#include <vector>

namespace hadal {

/// A shared library of LLVM's in this process.
struct CompilerLibrary {
  std::string name; ///< "libLLVM.so.22.1"
  /// Its GNU build id, or the hash of its file where it has none; "" if that
  /// cannot be read. Raw bytes.
  std::string id;
};

/// Those that code generation runs in, by name; where LLVM is linked
/// statically, the program itself, with the name "".
std::vector<CompilerLibrary> compilerLibraries();

/// The hash of our own libraries of code generation, taken when they were
/// linked: the same in every tool of one build, another after any change.
const char *codegenBuildId();

/// Equal where the same text gives the same code: our libraries and LLVM's.
/// "" if one of them cannot be told from another build of it.
const std::string &compilerIdentity();

} // namespace hadal
