#include "runtime/artifact/Verify.h"

#include <algorithm>

#include <zstd.h>

#include "runtime/base/Checked.h"
#include "runtime/schemas/ArtifactFile.h"

namespace hadal::artifact {

namespace {

/// Tables the flatbuffers verifier may visit; a full 671B artifact has some
/// tens of thousands.
constexpr unsigned kMaxTables = 1u << 22;
constexpr unsigned kMaxDepth = 16;

Status corrupt(const std::string &name, const std::string &what) {
  return error(4004,
               "artifact '{}': {}; the file is damaged: copy or compile it "
               "again",
               name, what);
}

/// All bytes in [begin, end) must be zero.
Status verifyPadding(std::span<const uint8_t> file, uint64_t begin,
                     uint64_t end, const std::string &name) {
  for (uint64_t i = begin; i < end; ++i)
    if (file[i])
      return corrupt(name, fmt::format("padding byte {} is {:#04x}, expected 0",
                                       i, file[i]));
  return {};
}

Status verifyHeader(std::span<const uint8_t> file, const std::string &name,
                    FileHeader &header) {
  size_t probe = std::min(file.size(), sizeof(kMagic));
  if (std::memcmp(file.data(), kMagic, probe) != 0)
    return error(4001,
                 "'{}' is not a hadal artifact: it does not start with the "
                 "magic bytes; give a file written by hadal-compile",
                 name);
  if (file.size() < kHeaderBytes)
    return error(4003,
                 "artifact '{}' is truncated: {} bytes, the header alone has "
                 "{}; copy or compile it again",
                 name, file.size(), kHeaderBytes);
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.version < kOldestFormatVersion || header.version > kFormatVersion)
    return error(4002,
                 "artifact '{}' has format version {}, this runtime reads "
                 "versions {} to {}; compile the model with the matching hadal",
                 name, header.version, kOldestFormatVersion, kFormatVersion);
  if (hash(&header, kHashedHeaderBytes) != header.headerHash)
    return corrupt(name, "the header's checksum does not match");
  if (header.zero)
    return corrupt(name, "the header's last 8 bytes are not zero");
  if (header.headerBytes != kHeaderBytes ||
      header.manifestOffset != kHeaderBytes)
    return corrupt(name, fmt::format("header of {} bytes and manifest at byte "
                                     "{}, expected both {}",
                                     header.headerBytes, header.manifestOffset,
                                     kHeaderBytes));
  if (file.size() < header.fileBytes)
    return error(4003,
                 "artifact '{}' is truncated: {} bytes of {}; copy or compile "
                 "it again",
                 name, file.size(), header.fileBytes);
  if (file.size() > header.fileBytes)
    return corrupt(name, fmt::format("{} bytes follow its end at byte {}",
                                     file.size() - header.fileBytes,
                                     header.fileBytes));
  return {};
}

Status verifyManifest(std::span<const uint8_t> file, const FileHeader &header,
                      const std::string &name) {
  std::optional<uint64_t> end =
      checkedAdd(header.manifestOffset, header.manifestBytes);
  // The flatbuffers verifier only asserts its own size limits.
  if (!end || *end > header.fileBytes || header.manifestBytes < 32 ||
      header.manifestBytes >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return corrupt(name, fmt::format("a manifest of {} bytes does not fit a "
                                     "file of {} bytes",
                                     header.manifestBytes, header.fileBytes));
  const uint8_t *manifest = file.data() + header.manifestOffset;
  if (hash(manifest, header.manifestBytes) != header.manifestHash)
    return corrupt(name, "the manifest's checksum does not match");
  flatbuffers::Verifier verifier(manifest, header.manifestBytes, kMaxDepth,
                                 kMaxTables);
  if (!verifier.VerifyBuffer<schema::Artifact>(kIdentifier))
    return error(4005,
                 "artifact '{}': the manifest is not a well-formed '{}' "
                 "flatbuffer; compile the model again",
                 name, kIdentifier);
  return {};
}

/// Blobs lie in order, aligned, with nothing but zeros between them, so that
/// every byte of the file is covered by a checksum or known.
Status verifyBlobs(std::span<const uint8_t> file, const FileHeader &header,
                   const schema::Artifact &artifact, const std::string &name) {
  uint64_t end = header.manifestOffset + header.manifestBytes;
  for (unsigned i = 0; i < artifact.blobs()->size(); ++i) {
    const schema::Blob &blob = *artifact.blobs()->Get(i);
    std::optional<uint64_t> blobEnd =
        checkedAdd(blob.offset(), blob.stored_bytes());
    if (blob.offset() != alignToBlob(end) || !blobEnd ||
        *blobEnd > header.fileBytes)
      return error(4005,
                   "artifact '{}': blob {} at byte {} with {} bytes; expected "
                   "it at byte {} and inside the file of {} bytes; compile "
                   "the model again",
                   name, i, blob.offset(), blob.stored_bytes(),
                   alignToBlob(end), header.fileBytes);
    if (!blob.zstd() && blob.bytes() != blob.stored_bytes())
      return error(4005,
                   "artifact '{}': blob {} is not compressed but has {} "
                   "bytes, {} stored; compile the model again",
                   name, i, blob.bytes(), blob.stored_bytes());
    HADAL_RETURN_IF_ERROR(verifyPadding(file, end, blob.offset(), name));
    if (hash(file.data() + blob.offset(), blob.stored_bytes()) != blob.xxh3())
      return corrupt(name,
                     fmt::format("the checksum of blob {} does not match", i));
    if (blob.zstd() &&
        ZSTD_getFrameContentSize(file.data() + blob.offset(),
                                 blob.stored_bytes()) != blob.bytes())
      return error(4005,
                   "artifact '{}': blob {} is not a zstd frame of {} bytes; "
                   "compile the model again",
                   name, i, blob.bytes());
    end = *blobEnd;
  }
  if (end != header.fileBytes)
    return corrupt(name, fmt::format("its content ends at byte {}, the file "
                                     "at byte {}",
                                     end, header.fileBytes));
  return {};
}

} // namespace

Status verifyFile(std::span<const uint8_t> file, const std::string &name) {
  if (file.empty())
    return error(4003, "artifact '{}' is empty; copy or compile it again",
                 name);
  FileHeader header;
  HADAL_RETURN_IF_ERROR(verifyHeader(file, name, header));
  HADAL_RETURN_IF_ERROR(verifyManifest(file, header, name));
  const schema::Artifact &artifact =
      *schema::GetArtifact(file.data() + kHeaderBytes);
  HADAL_RETURN_IF_ERROR(verifyMeaning(artifact, name));
  return verifyBlobs(file, header, artifact, name);
}

} // namespace hadal::artifact
