#include "compiler/codegen/nvptx/KernelCache.h"

#include <cstdlib>
#include <cstring>
#include <mutex>

#include <unistd.h>

#include "compiler/codegen/nvptx/Chip.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "runtime/base/Interrupt.h"

namespace hadal::nvptx {

namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace {

constexpr llvm::StringLiteral kMagic = "HDLKERN1";
constexpr size_t kHashBytes = 32;
constexpr llvm::StringLiteral kSuffix = ".kernel";

std::string hashOf(llvm::ArrayRef<llvm::StringRef> parts) {
  llvm::BLAKE3 hasher;
  for (llvm::StringRef part : parts) {
    // With its length, so that parts cannot run into each other.
    uint64_t size = part.size();
    hasher.update(llvm::StringRef(reinterpret_cast<const char *>(&size),
                                  sizeof(size)));
    hasher.update(part);
  }
  std::array<uint8_t, kHashBytes> digest = hasher.final();
  return std::string(digest.begin(), digest.end());
}

/// The hash of the running program: any change to the compiler is another one.
const std::string &programHash() {
  static const std::string hash = [] {
    auto file = llvm::MemoryBuffer::getFile("/proc/self/exe", /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
    return file ? hashOf({(*file)->getBuffer(), LLVM_VERSION_STRING})
                : std::string();
  }();
  return hash;
}

//===----------------------------------------------------------------------===//
// Content
//===----------------------------------------------------------------------===//

/// Numbers and strings to bytes. `visit` below is written once for both ways.
struct Encoder {
  std::string bytes;
  void number(uint64_t value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
  }
  template <typename T> void field(const T &value) {
    number(static_cast<uint64_t>(value));
  }
  void field(const std::string &text) {
    number(text.size());
    bytes += text;
  }
  template <typename List, typename F> void list(List &values, F visit) {
    number(values.size());
    for (auto &value : values)
      visit(value);
  }
};

struct Decoder {
  llvm::StringRef bytes;
  bool valid = true;

  uint64_t number() {
    uint64_t value = 0;
    if (bytes.size() < sizeof(value)) {
      valid = false;
      return 0;
    }
    std::memcpy(&value, bytes.data(), sizeof(value));
    bytes = bytes.drop_front(sizeof(value));
    return value;
  }
  template <typename T> void field(T &value) {
    value = static_cast<T>(number());
  }
  void field(std::string &text) {
    uint64_t size = number();
    if (size > bytes.size()) {
      valid = false;
      return;
    }
    text = bytes.take_front(size).str();
    bytes = bytes.drop_front(size);
  }
  template <typename List, typename F> void list(List &values, F visit) {
    uint64_t count = number();
    // Every element has 8 bytes at least.
    if (count > bytes.size() / 8) {
      valid = false;
      return;
    }
    values.resize(count);
    for (auto &value : values)
      visit(value);
  }
};

template <typename Coder, typename Kernel>
void visit(Coder &c, Kernel &compiled) {
  auto &k = compiled.kernel;
  c.field(k.name);
  c.field(k.ptx);
  c.field(k.threads);
  c.field(k.sharedBytes);
  c.field(k.ctasPerItem);
  c.field(k.persistent);
  c.field(k.workspaceFixed);
  c.field(k.workspacePerItem);
  c.field(k.ptxIsa);
  c.field(k.driverMinimum);
  c.list(k.tensorMaps, [&](auto &map) {
    c.field(map.slot);
    c.field(map.dataType);
    c.field(map.swizzle);
    c.list(map.dims, [&](auto &dim) {
      c.field(dim.extent);
      c.field(dim.extentSlot);
      c.field(dim.strideBytes);
      c.field(dim.box);
    });
  });
  c.field(compiled.cubin);
}

template <typename Coder, typename Facts>
void visitFacts(Coder &c, Facts &facts) {
  c.field(facts.registers);
  c.field(facts.barriers);
  c.field(facts.spillStoreBytes);
  c.field(facts.spillLoadBytes);
  c.field(facts.stackBytes);
  c.field(facts.sharedBytes);
  c.list(facts.advice, [&](auto &line) { c.field(line); });
}

} // namespace

std::string encodeCacheEntry(const KernelKey &key,
                             const CompiledKernel &kernel) {
  Encoder encoder;
  visit(encoder, kernel);
  encoder.field(kernel.facts.has_value());
  if (kernel.facts)
    visitFacts(encoder, *kernel.facts);
  return (kMagic + hashOf({kMagic, key.bytes, encoder.bytes}) + encoder.bytes)
      .str();
}

std::optional<CompiledKernel> decodeCacheEntry(const KernelKey &key,
                                               llvm::StringRef bytes) {
  if (!bytes.consume_front(kMagic) || bytes.size() < kHashBytes)
    return std::nullopt;
  llvm::StringRef hash = bytes.take_front(kHashBytes);
  bytes = bytes.drop_front(kHashBytes);
  if (hashOf({kMagic, key.bytes, bytes}) != hash)
    return std::nullopt;
  Decoder decoder{bytes};
  CompiledKernel kernel;
  visit(decoder, kernel);
  bool hasFacts = false;
  decoder.field(hasFacts);
  if (hasFacts)
    visitFacts(decoder, kernel.facts.emplace());
  if (!decoder.valid || !decoder.bytes.empty())
    return std::nullopt;
  return kernel;
}

//===----------------------------------------------------------------------===//
// Keys and files
//===----------------------------------------------------------------------===//

KernelKey KernelKey::of(llvm::StringRef tileText, const Chip &chip,
                        const Ptxas *ptxas) {
  return {hashOf({"kernel", programHash(), chip.name,
                  ptxas ? llvm::StringRef(ptxas->version) : "none", tileText})};
}

std::string KernelCache::resolveDirectory(llvm::StringRef choice) {
  // Without the program's hash an entry of another build could be taken.
  if (choice == "none" || programHash().empty())
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

std::string KernelCache::entryPath(const KernelKey &key) const {
  llvm::SmallString<128> file(directory);
  std::string name = llvm::toHex(key.bytes, /*LowerCase=*/true);
  path::append(file, name.substr(0, 2), name.substr(2) + kSuffix);
  return std::string(file);
}

std::optional<CompiledKernel> KernelCache::find(const KernelKey &key) {
  if (!enabled())
    return std::nullopt;
  std::string file = entryPath(key);
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false,
                                            /*IsVolatile=*/true);
  if (!buffer)
    return std::nullopt;
  std::optional<CompiledKernel> kernel =
      decodeCacheEntry(key, (*buffer)->getBuffer());
  if (!kernel) {
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
  return kernel;
}

std::string KernelCache::store(const KernelKey &key,
                               const CompiledKernel &kernel) {
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
  out << encodeCacheEntry(key, kernel);
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

void KernelCache::prune(uint64_t maxBytes) {
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

} // namespace hadal::nvptx
