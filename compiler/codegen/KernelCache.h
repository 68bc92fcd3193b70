// Compiled code kept between compilations, found by what it was made from. One
// directory serves all targets and all tools of one build.
#pragma once

#include <optional>
#include <string>

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace hadal {

/// What a piece of code was made from: 32 bytes.
struct KernelKey {
  std::string bytes;

  /// Of |parts| in order: the target, everything that its code generation is
  /// given, and the text of the kernels. No two lists have one key.
  static KernelKey of(llvm::ArrayRef<llvm::StringRef> parts);
};

/// A directory of entries, one file each, named by its key. An entry holds a
/// hash of its key and content and is written to a temporary file that is then
/// renamed, so that any number of compilers may share the directory. A damaged
/// entry is a miss and is deleted. Nothing here is an error: without a cache a
/// compilation only takes longer.
class KernelCache {
public:
  /// Never finds and never stores.
  KernelCache() = default;
  /// Keeps entries in |directory|, which is made when something is stored.
  /// Entries of another |identity| (compilerIdentity) are not found: other code
  /// is made from the same text by another build. If either is "", as without
  /// arguments.
  KernelCache(std::string directory, std::string identity)
      : directory(identity.empty() ? "" : std::move(directory)),
        identity(std::move(identity)) {}

  /// The directory for `--kernel-cache` |choice|: "" is $XDG_CACHE_HOME/hadal
  /// or ~/.cache/hadal, "none" no cache (also where there is no home).
  static std::string resolveDirectory(llvm::StringRef choice);

  /// The content of the entry of |key|, if it is there and whole. Marks it as
  /// used.
  std::optional<std::string> find(const KernelKey &key) const;
  /// Keeps |content|. Returns why it could not, or "".
  std::string store(const KernelKey &key, llvm::StringRef content) const;
  /// Deletes the entry of |key|, whose content does not read.
  void drop(const KernelKey &key) const;
  /// Deletes the entries that were not used for longest while all together have
  /// more than |maxBytes|.
  void prune(uint64_t maxBytes = kMaxBytes) const;

  bool enabled() const { return !directory.empty(); }
  const std::string &path() const { return directory; }
  /// Where the entry of |key| lies.
  std::string entryPath(const KernelKey &key) const;

  /// Some thousand kernels.
  static constexpr uint64_t kMaxBytes = uint64_t(512) << 20;

private:
  /// The name of the entry of |key|: its hash with the identity.
  std::string nameOf(const KernelKey &key) const;

  std::string directory, identity;
};

/// The bytes of the entry |name|, and the content back; nothing if |bytes| is
/// not a whole entry of that name.
std::string encodeCacheEntry(llvm::StringRef name, llvm::StringRef content);
std::optional<llvm::StringRef> decodeCacheEntry(llvm::StringRef name,
                                                llvm::StringRef bytes);

} // namespace hadal
