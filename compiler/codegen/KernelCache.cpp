#include "compiler/codegen/KernelCache.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <unistd.h>

#include "runtime/base/Interrupt.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace hadal {

namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

static constexpr llvm::StringLiteral kMagic = "HDLKERN2";
static constexpr size_t kHashBytes = 32;
static constexpr llvm::StringLiteral kSuffix = ".kernel";

static std::string hashOf(llvm::ArrayRef<llvm::StringRef> parts) {
  llvm::BLAKE3 hasher;
  for (llvm::StringRef part : parts) {
    // With its length, so that parts cannot run into each other.
    uint64_t size = part.size();
    hasher.update(
        llvm::StringRef(reinterpret_cast<const char *>(&size), sizeof(size)));
    hasher.update(part);
  }
  std::array<uint8_t, kHashBytes> digest = hasher.final();
  return std::string(digest.begin(), digest.end());
}

KernelKey KernelKey::of(llvm::ArrayRef<llvm::StringRef> parts) {
  return {hashOf(parts)};
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

std::string encodeCacheEntry(llvm::StringRef name, llvm::StringRef content) {
  return (kMagic + hashOf({kMagic, name, content}) + content).str();
}

std::optional<llvm::StringRef> decodeCacheEntry(llvm::StringRef name,
                                                llvm::StringRef bytes) {
  if (!bytes.consume_front(kMagic) || bytes.size() < kHashBytes)
    return std::nullopt;
  llvm::StringRef hash = bytes.take_front(kHashBytes);
  bytes = bytes.drop_front(kHashBytes);
  if (hashOf({kMagic, name, bytes}) != hash)
    return std::nullopt;
  return bytes;
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

std::string KernelCache::resolveDirectory(llvm::StringRef choice) {
  if (choice == "none")
    return "";
  if (!choice.empty())
    return choice.str();
  llvm::SmallString<128> directory;
  if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    directory = xdg;
  else if (const char *home = std::getenv("HOME"); home && *home)
    path::append(directory, home, ".cache");
  else
    return "";
  path::append(directory, "hadal");
  return std::string(directory);
}

std::string KernelCache::nameOf(const KernelKey &key) const {
  return llvm::toHex(hashOf({identity, key.bytes}), /*LowerCase=*/true);
}

std::string KernelCache::entryPath(const KernelKey &key) const {
  llvm::SmallString<128> file(directory);
  std::string name = nameOf(key);
  path::append(file, name.substr(0, 2), name.substr(2) + kSuffix);
  return std::string(file);
}

std::optional<std::string> KernelCache::find(const KernelKey &key) const {
  if (!enabled())
    return std::nullopt;
  std::string file = entryPath(key);
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false,
                                            /*IsVolatile=*/true);
  if (!buffer)
    return std::nullopt;
  std::optional<llvm::StringRef> content =
      decodeCacheEntry(nameOf(key), (*buffer)->getBuffer());
  if (!content) {
    fs::remove(file);
    return std::nullopt;
  }
  int descriptor;
  if (!fs::openFileForWrite(file, descriptor, fs::CD_OpenExisting,
                            fs::OF_Append)) {
    auto now = std::chrono::system_clock::now();
    (void)fs::setLastAccessAndModificationTime(descriptor, now, now);
    fs::file_t handle = fs::convertFDToNativeFile(descriptor);
    fs::closeFile(handle);
  }
  return content->str();
}

std::string KernelCache::store(const KernelKey &key,
                               llvm::StringRef content) const {
  if (!enabled())
    return "";
  std::string file = entryPath(key);
  if (std::error_code ec = fs::create_directories(path::parent_path(file)))
    return ec.message();
  auto held = CleanUp::lock();
  auto temp = fs::TempFile::create(file + ".tmp-%%%%%%%%");
  if (!temp)
    return llvm::toString(temp.takeError());
  CleanUp cleanUp([name = temp->TmpName] { ::unlink(name.c_str()); });
  held.unlock();
  llvm::raw_fd_ostream out(temp->FD, /*shouldClose=*/false);
  out << encodeCacheEntry(nameOf(key), content);
  out.flush();
  if (out.has_error()) {
    std::string reason = out.error().message();
    out.clear_error();
    llvm::consumeError(temp->discard());
    return reason;
  }
  if (llvm::Error error = temp->keep(file))
    return llvm::toString(std::move(error));
  return "";
}

void KernelCache::drop(const KernelKey &key) const {
  if (enabled())
    fs::remove(entryPath(key));
}

void KernelCache::prune(uint64_t maxBytes) const {
  if (!enabled())
    return;
  struct Entry {
    llvm::sys::TimePoint<> used;
    std::string file;
    uint64_t bytes;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code ec;
  // Of our own files only: the directory may be shared with others.
  for (fs::recursive_directory_iterator it(directory, ec), end;
       it != end && !ec; it.increment(ec)) {
    llvm::StringRef name = path::filename(it->path());
    if (!name.ends_with(kSuffix) && !name.contains(".kernel.tmp-"))
      continue;
    fs::file_status status;
    if (fs::status(it->path(), status))
      continue;
    entries.push_back(
        {status.getLastModificationTime(), it->path(), status.getSize()});
    total += status.getSize();
  }
  llvm::sort(entries, [](const Entry &a, const Entry &b) {
    return std::tie(a.used, a.file) < std::tie(b.used, b.file);
  });
  for (const Entry &entry : entries) {
    if (total <= maxBytes)
      break;
    if (!fs::remove(entry.file))
      total -= entry.bytes;
  }
}

} // namespace hadal
