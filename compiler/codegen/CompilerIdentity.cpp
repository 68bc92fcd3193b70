#include "compiler/codegen/CompilerIdentity.h"

#include <cstring>
#include <elf.h>
#include <link.h>

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

namespace hadal {

/// The build id among the notes of a loaded object; "" if it has none.
static std::string buildIdOf(const dl_phdr_info &info) {
  for (unsigned i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr) &header = info.dlpi_phdr[i];
    if (header.p_type != PT_NOTE)
      continue;
    const char *at =
        reinterpret_cast<const char *>(info.dlpi_addr + header.p_vaddr);
    const char *end = at + header.p_memsz;
    // Names and descriptions are padded to 4 bytes in a segment aligned to 4,
    // which is where linkers put the build id.
    auto padded = [](uint64_t size) { return (size + 3) / 4 * 4; };
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof(note));
      const char *name = at + sizeof(note);
      const char *description = name + padded(note.n_namesz);
      at = description + padded(note.n_descsz);
      if (at > end)
        break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
          std::memcmp(name, "GNU", 4) == 0)
        return std::string(description, note.n_descsz);
    }
  }
  return "";
}

static std::string hashOfFile(llvm::StringRef path) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file)
    return "";
  llvm::BLAKE3 hasher;
  hasher.update((*file)->getBuffer());
  auto digest = hasher.final();
  return std::string(digest.begin(), digest.end());
}

static int addLibrary(dl_phdr_info *info, size_t, void *data) {
  auto &libraries = *static_cast<std::vector<CompilerLibrary> *>(data);
  llvm::StringRef name = llvm::sys::path::filename(info->dlpi_name);
  if (!name.starts_with("libLLVM") && !name.starts_with("libMLIR"))
    return 0;
  std::string id = buildIdOf(*info);
  libraries.push_back(
      {name.str(), id.empty() ? hashOfFile(info->dlpi_name) : id});
  return 0;
}

std::vector<CompilerLibrary> compilerLibraries() {
  std::vector<CompilerLibrary> libraries;
  dl_iterate_phdr(addLibrary, &libraries);
  if (libraries.empty())
    libraries.push_back({"", hashOfFile("/proc/self/exe")});
  llvm::sort(libraries,
             [](const auto &a, const auto &b) { return a.name < b.name; });
  return libraries;
}

const std::string &compilerIdentity() {
  static const std::string identity = []() -> std::string {
    std::string text =
        std::string(codegenBuildId()) + " " + LLVM_VERSION_STRING;
    for (const CompilerLibrary &library : compilerLibraries()) {
      if (library.id.empty())
        return "";
      text += " " + library.name + " " + llvm::toHex(library.id);
    }
    return text;
  }();
  return identity;
}

} // namespace hadal
