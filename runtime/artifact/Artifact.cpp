#include "runtime/artifact/Artifact.h"

#include "runtime/artifact/ArtifactFile.h"

namespace hadal {

Artifact::Artifact(MappedFile file)
    : file_(std::move(file)),
      root_(schema::GetArtifact(file_.data() + artifact::kHeaderBytes)) {}

StatusOr<Artifact> Artifact::open(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  HADAL_RETURN_IF_ERROR(artifact::verifyFile(file.bytes(), path));
  return Artifact(std::move(file));
}

std::span<const uint8_t> Artifact::blob(unsigned index) const {
  const schema::Blob &blob = *root_->blobs()->Get(index);
  return file_.bytes().subspan(blob.offset(), blob.stored_bytes());
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
