// The file around an artifact's manifest: header layout, checksums and the
// assembly of a whole file from a manifest and its blobs. Header-only and free
// of runtime and compiler libraries, because the compiler's writer and the
// runtime's reader share it. docs/artifact.md describes the format.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/schemas/InputLayout.h"
#include "runtime/schemas/artifact_generated.h"

namespace hadal::artifact {

inline constexpr uint8_t kMagic[8] = {'H', 'A', 'D', 'A', 'L', 0, '\r', '\n'};
inline constexpr uint32_t kFormatVersion = 2;
/// The oldest that is read: its kernels have 3 words before expert_begin, of
/// which they write all, so that they run with the record of today.
inline constexpr uint32_t kOldestFormatVersion = 1;
inline constexpr uint64_t kHeaderBytes = 64;
/// Blobs start at multiples of this: code is mapped from the file in place.
inline constexpr uint64_t kBlobAlign = 4096;
inline constexpr char kIdentifier[] = "HDL1";
/// Code of one kernel, uncompressed: more is taken for damage.
inline constexpr uint64_t kMaxCodeBytes = uint64_t(64) << 20;
/// Bytes of the parameters of a kernel of sm_90a.
inline constexpr uint64_t kMaxKernelParameterBytes = 32764;
/// The first 64 bytes of an artifact, little-endian, as they lie in the file.
struct FileHeader {
  uint8_t magic[8];
  uint32_t version;
  uint32_t headerBytes;
  uint64_t fileBytes;
  uint64_t manifestOffset;
  uint64_t manifestBytes;
  uint64_t manifestHash;
  uint64_t headerHash; // of the 48 bytes before it
  uint64_t zero;
};
static_assert(sizeof(FileHeader) == kHeaderBytes);
inline constexpr uint64_t kHashedHeaderBytes = 48;

/// XXH3-64, seed 0.
inline uint64_t hash(const void *data, size_t size) {
  return XXH3_64bits(data, size);
}

/// A Blob table whose fields assembleArtifact fills in: every number is stored
/// (flatbuffers drops a field that holds its default, which could not be
/// patched later).
inline flatbuffers::Offset<schema::Blob>
createBlobPlaceholder(flatbuffers::FlatBufferBuilder &builder,
                      bool zstd = false) {
  constexpr uint64_t unset = ~uint64_t(0);
  return schema::CreateBlob(builder, unset, unset, unset, zstd, unset);
}

/// One blob: the bytes as they are stored in the file. |rawBytes| is the
/// uncompressed size and differs from the stored size for a zstd blob only.
struct BlobContent {
  std::span<const uint8_t> stored;
  uint64_t rawBytes;
};
inline BlobContent plainBlob(std::span<const uint8_t> bytes) {
  return {bytes, bytes.size()};
}

inline uint64_t alignToBlob(uint64_t offset) {
  return (offset + kBlobAlign - 1) & ~(kBlobAlign - 1);
}

/// Assembles the file: header, |manifest| at byte 64, then the blobs in order,
/// each at a multiple of kBlobAlign with zeros between. |manifest| is a
/// finished buffer with root `Artifact` and identifier `HDL1`, whose `blobs`
/// were made by createBlobPlaceholder, one for each element of |blobs|; they
/// receive offset, sizes and hash here. Equal arguments give equal bytes.
/// Returns nothing if the manifest has another number of blobs or a blob that
/// is not a placeholder: a mistake of the caller.
inline std::optional<std::vector<uint8_t>>
assembleArtifact(std::vector<uint8_t> manifest,
                 std::span<const BlobContent> blobs) {
  schema::Artifact *root = schema::GetMutableArtifact(manifest.data());
  auto *tables = root->mutable_blobs();
  if (!tables || tables->size() != blobs.size())
    return std::nullopt;
  uint64_t end = kHeaderBytes + manifest.size();
  std::vector<uint64_t> offsets;
  for (size_t i = 0; i < blobs.size(); ++i) {
    auto *blob = tables->GetMutableObject(static_cast<unsigned>(i));
    uint64_t offset = alignToBlob(end);
    std::span<const uint8_t> bytes = blobs[i].stored;
    if (!blob->mutate_offset(offset) || !blob->mutate_bytes(blobs[i].rawBytes) ||
        !blob->mutate_stored_bytes(bytes.size()) ||
        !blob->mutate_xxh3(hash(bytes.data(), bytes.size())))
      return std::nullopt;
    offsets.push_back(offset);
    end = offset + bytes.size();
  }
  FileHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kFormatVersion;
  header.headerBytes = kHeaderBytes;
  header.fileBytes = end;
  header.manifestOffset = kHeaderBytes;
  header.manifestBytes = manifest.size();
  header.manifestHash = hash(manifest.data(), manifest.size());
  header.headerHash = hash(&header, kHashedHeaderBytes);

  std::vector<uint8_t> file(end, 0);
  std::memcpy(file.data(), &header, sizeof(header));
  std::memcpy(file.data() + kHeaderBytes, manifest.data(), manifest.size());
  for (size_t i = 0; i < blobs.size(); ++i)
    if (!blobs[i].stored.empty())
      std::memcpy(file.data() + offsets[i], blobs[i].stored.data(),
                  blobs[i].stored.size());
  return file;
}

} // namespace hadal::artifact
