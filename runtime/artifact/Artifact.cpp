#include "runtime/artifact/Artifact.h"

#include <zstd.h>

#include "runtime/base/Hash.h"
#include "runtime/schemas/ArtifactFile.h"

namespace hadal {

Artifact::Artifact(MappedFile file)
    : file_(std::move(file)),
      root_(schema::GetArtifact(file_.data() + artifact::kHeaderBytes)) {}

StatusOr<Artifact> Artifact::open(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  HADAL_RETURN_IF_ERROR(artifact::verifyFile(file.bytes(), path));
  return Artifact(std::move(file));
}

uint64_t Artifact::digest() const {
  // The header holds the checksum of the manifest, which holds those of blobs.
  return xxh3(file_.bytes().first(artifact::kHeaderBytes));
}

std::span<const uint8_t> Artifact::blob(unsigned index) const {
  const schema::Blob &blob = *root_->blobs()->Get(index);
  return file_.bytes().subspan(blob.offset(), blob.stored_bytes());
}

static const schema::KernelCode *findCode(const schema::Artifact &root,
                                          unsigned kernel,
                                          std::string_view variant) {
  if (const auto *codes = root.kernels()->Get(kernel)->code())
    for (const schema::KernelCode *code : *codes)
      if (code->variant()->string_view() == variant)
        return code;
  return nullptr;
}

bool Artifact::hasCode(unsigned kernel, std::string_view variant) const {
  return findCode(*root_, kernel, variant);
}

StatusOr<std::string> Artifact::code(unsigned kernel,
                                     std::string_view variant) const {
  return unpack(
      findCode(*root_, kernel, variant)->blob(),
      fmt::format("{} of kernel '{}'", variant,
                  root_->kernels()->Get(kernel)->name()->string_view()));
}

StatusOr<std::string> Artifact::tuning() const {
  if (root_->tuning_blob() < 0)
    return std::string();
  return unpack(static_cast<unsigned>(root_->tuning_blob()),
                "tuning database");
}

StatusOr<std::string> Artifact::unpack(unsigned index,
                                       const std::string &what) const {
  const schema::Blob &table = *root_->blobs()->Get(index);
  std::span<const uint8_t> stored = blob(index);
  // Verified: at most kMaxCodeBytes.
  std::string bytes(table.bytes(), '\0');
  if (!table.zstd()) {
    bytes.assign(stored.begin(), stored.end());
    return bytes;
  }
  size_t size = ZSTD_decompress(bytes.data(), bytes.size(), stored.data(),
                                stored.size());
  if (ZSTD_isError(size) || size != bytes.size())
    return error(4004,
                 "artifact '{}': the {} does not decompress to {} bytes; "
                 "compile the model again",
                 path(), what, bytes.size());
  return bytes;
}

std::optional<unsigned> Artifact::findImage(std::string_view variant) const {
  for (unsigned i = 0; i < root_->images()->size(); ++i)
    if (root_->images()->Get(i)->variant()->string_view() == variant)
      return i;
  return std::nullopt;
}

std::string Artifact::imageVariants() const {
  std::string joined;
  for (const schema::Image *image : *root_->images())
    joined += (joined.empty() ? "" : ", ") + image->variant()->str();
  return joined;
}

std::optional<unsigned> Artifact::findState(std::string_view name) const {
  for (unsigned i = 0; i < root_->states()->size(); ++i)
    if (root_->states()->Get(i)->name()->string_view() == name)
      return i;
  return std::nullopt;
}

} // namespace hadal
