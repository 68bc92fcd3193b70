// Compiled kernels kept between compilations, found by what they were made
// from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "compiler/codegen/nvptx/Ptxas.h"
#include "compiler/codegen/nvptx/Sm90Kernels.h"

namespace hadal::nvptx {

/// A kernel with what ptxas made of it; no cubin and no facts without ptxas.
struct CompiledKernel {
  Sm90Kernel kernel;
  std::string cubin;
  std::optional<PtxasFacts> facts;
};

/// The identity of a compilation of one kernel: 32 bytes.
struct KernelKey {
  std::string bytes;

  /// Of the kernel |tileText| (printed, schedule included) for |chip|, by this
  /// very build of the compiler (the hash of its program file) and |ptxas|
  /// (null: none).
  static KernelKey of(llvm::StringRef tileText, const Chip &chip,
                      const Ptxas *ptxas);
};

/// A directory of entries, one file each, named by its key. An entry holds a
/// hash of its key and content and is written to a temporary file that is then
/// renamed, so that any number of compilers may share the directory. A damaged
/// entry is a miss and is deleted. Nothing here is an error: without a cache a
/// compilation only takes longer.
class KernelCache {
public:
  /// Keeps entries in |directory|, which is made when something is stored;
  /// "": never finds and never stores.
  explicit KernelCache(std::string directory)
      : directory(std::move(directory)) {}

  /// The directory for `--kernel-cache` |choice|: "" is $XDG_CACHE_HOME/hadal
  /// or ~/.cache/hadal, "none" no cache (also where there is no home).
  static std::string resolveDirectory(llvm::StringRef choice);

  /// The entry of |key|, if it is there and whole. Marks it as used.
  std::optional<CompiledKernel> find(const KernelKey &key);
  /// Keeps |kernel|. Returns why it could not, or "".
  std::string store(const KernelKey &key, const CompiledKernel &kernel);
  /// Deletes the entries that were not used for longest while all together have
  /// more than |maxBytes|.
  void prune(uint64_t maxBytes = kMaxBytes);

  bool enabled() const { return !directory.empty(); }
  const std::string &path() const { return directory; }
  /// Where the entry of |key| lies.
  std::string entryPath(const KernelKey &key) const;

  /// Some thousand kernels.
  static constexpr uint64_t kMaxBytes = uint64_t(512) << 20;

private:
  std::string directory;
};

/// The bytes of an entry, and back; nothing if |bytes| is not a whole entry of
/// |key|.
std::string encodeCacheEntry(const KernelKey &key, const CompiledKernel &kernel);
std::optional<CompiledKernel> decodeCacheEntry(const KernelKey &key,
                                               llvm::StringRef bytes);

} // namespace hadal::nvptx
