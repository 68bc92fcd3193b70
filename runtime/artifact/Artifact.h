// An opened artifact: mapped, fully verified, read in place.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/artifact/Verify.h"
#include "runtime/base/MappedFile.h"
#include "runtime/base/Status.h"

namespace hadal {

/// A verified .hadal file. Everything reachable from root() has passed
/// artifact::verifyFile, so indices and ranges in it need no further check.
class Artifact {
public:
  /// Maps and verifies |path|. Errors: H5001, H4001 to H4005, H4007.
  static StatusOr<Artifact> open(const std::string &path);

  const std::string &path() const { return file_.path(); }
  const schema::Artifact &root() const { return *root_; }
  const schema::Model &model() const { return *root_->model(); }
  std::string_view target() const {
    return root_->provenance()->target()->string_view();
  }
  uint64_t fileBytes() const { return file_.size(); }
  /// Of all bytes of the file, by its checksums: two files with equal digests are
  /// the same artifact, but for accidents.
  uint64_t digest() const;

  /// The stored bytes of blob |index|, in the mapping, page-aligned.
  std::span<const uint8_t> blob(unsigned index) const;

  /// True if kernel |kernel| has code of |variant| ("ptx", "cubin").
  bool hasCode(unsigned kernel, std::string_view variant) const;
  /// That code, decompressed: PTX text (no terminating zero) or an ELF file. It
  /// must be there. H4004 if the blob does not decompress to its size, which
  /// its checksum makes a mistake of the writer.
  StatusOr<std::string> code(unsigned kernel, std::string_view variant) const;

  /// The lines of the tuning database that kernels were chosen by; "" if none
  /// was. H4004 as of code().
  StatusOr<std::string> tuning() const;

  /// The index of the image for |variant|, if there is one.
  std::optional<unsigned> findImage(std::string_view variant) const;
  /// The variants it holds, joined by ", ".
  std::string imageVariants() const;
  /// The index of the state |name|, if there is one.
  std::optional<unsigned> findState(std::string_view name) const;

private:
  explicit Artifact(MappedFile file);
  /// Blob |index|, decompressed; messages call it |what|.
  StatusOr<std::string> unpack(unsigned index, const std::string &what) const;

  MappedFile file_;
  const schema::Artifact *root_;
};

} // namespace hadal
