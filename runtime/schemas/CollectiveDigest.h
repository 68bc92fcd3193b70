// The digest of an entry's collectives, by which ranks see before the first
// step that they will issue the same ones. Header-only, as ArtifactFile.h is:
// the compiler's writer and the runtime's reader share the bytes that are
// hashed.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/schemas/ArtifactFile.h"

namespace hadal::artifact {

/// XXH3-64 of an unrolled list of collectives, each as little-endian u64:
/// communicator, kind, stride of the counts, number of parts, then of each part
/// dtype, rows, bytes of a row and count column.
class CollectiveDigest {
public:
  struct Part {
    schema::DType dtype;
    uint64_t rows, rowBytes;
    int32_t countColumn;
  };

  void add(uint32_t communicator, schema::CollectiveKind kind,
           uint32_t countStride, const std::vector<Part> &parts) {
    words.insert(words.end(), {communicator, static_cast<uint64_t>(kind),
                               countStride, parts.size()});
    for (const Part &part : parts)
      words.insert(words.end(),
                   {static_cast<uint64_t>(part.dtype), part.rows, part.rowBytes,
                    static_cast<uint64_t>(int64_t(part.countColumn))});
  }
  /// The collectives of |callee|, another digest, once.
  void add(const CollectiveDigest &callee) {
    words.insert(words.end(), callee.words.begin(), callee.words.end());
  }
  bool empty() const { return words.empty(); }
  /// 0 of none.
  uint64_t finish() const {
    return words.empty() ? 0 : hash(words.data(), words.size() * 8);
  }

private:
  std::vector<uint64_t> words;
};

} // namespace hadal::artifact
