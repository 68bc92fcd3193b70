// The identity of the compiler names the libraries that it runs in.
#include "compiler/codegen/CompilerIdentity.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "llvm/ADT/StringExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"

using namespace hadal;

namespace {

/// The file of the library |name| in this process.
std::string pathOf(const std::string &name) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (size_t slash = line.find('/'); slash != std::string::npos)
      if (llvm::StringRef(line).ends_with("/" + name))
        return line.substr(slash);
  return "";
}

/// The build id of the ELF file |path|, from its section headers: another way
/// than the program headers of memory that are read for the identity.
std::string buildIdIn(const std::string &path) {
  auto file = llvm::object::ObjectFile::createObjectFile(path);
  if (!file) {
    llvm::consumeError(file.takeError());
    return "";
  }
  for (const auto &section : file->getBinary()->sections()) {
    auto name = section.getName();
    auto contents = section.getContents();
    if (name && contents && *name == ".note.gnu.build-id")
      return contents->drop_front(16).str(); // the note's header and "GNU"
    llvm::consumeError(name.takeError());
    llvm::consumeError(contents.takeError());
  }
  return "";
}

} // namespace

TEST(CompilerIdentity, NamesTheLibrariesByTheirBuildIds) {
  bool llvmSeen = false, mlirSeen = false;
  for (const CompilerLibrary &library : compilerLibraries()) {
    llvmSeen |= llvm::StringRef(library.name).starts_with("libLLVM");
    mlirSeen |= llvm::StringRef(library.name).starts_with("libMLIR");
    ASSERT_FALSE(library.id.empty()) << library.name;
    std::string path = pathOf(library.name);
    ASSERT_NE(path, "") << library.name;
    EXPECT_EQ(llvm::toHex(library.id), llvm::toHex(buildIdIn(path)))
        << library.name;
    EXPECT_NE(
        compilerIdentity().find(library.name + " " + llvm::toHex(library.id)),
        std::string::npos);
  }
  EXPECT_TRUE(llvmSeen && mlirSeen);
}

TEST(CompilerIdentity, NamesOurOwnCode) {
  EXPECT_EQ(std::string(codegenBuildId()).size(), 64u);
  EXPECT_EQ(compilerIdentity().find(codegenBuildId()), 0u);
}
