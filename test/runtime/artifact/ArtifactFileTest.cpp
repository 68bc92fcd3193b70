// The file around the manifest: every damaged byte is found.
#include <cstring>

#include <gtest/gtest.h>

#include "runtime/artifact/Artifact.h"
#include "runtime/cts/ToyArtifact.h"
#include "runtime/schemas/ArtifactFile.h"

using namespace hadal;

namespace {

/// A small but complete file: two blobs with padding before and between them.
std::vector<uint8_t> smallFile() {
  schema::ArtifactT a = toy::model();
  std::vector<uint8_t> image(600, 0x90), other(77, 0x41);
  for (auto &offset : a.images[0]->entry_offsets)
    offset %= 512;
  return toy::assemble(a, {image, other});
}

int codeOf(const std::vector<uint8_t> &file) {
  return artifact::verifyFile(file, "m.hadal").code();
}

/// Recomputes the header's hash after |change|.
template <typename F> std::vector<uint8_t> withHeader(F change) {
  std::vector<uint8_t> file = smallFile();
  artifact::FileHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  change(header);
  header.headerHash = artifact::hash(&header, artifact::kHashedHeaderBytes);
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

} // namespace

TEST(ArtifactFile, ValidFileIsAccepted) {
  Status status = artifact::verifyFile(smallFile(), "m.hadal");
  EXPECT_TRUE(status.ok()) << status.toString();
}

TEST(ArtifactFile, EqualContentGivesEqualBytes) {
  EXPECT_EQ(smallFile(), smallFile());
}

TEST(ArtifactFile, BlobsStartAtPagesAndKeepTheirBytes) {
  toy::TempDir dir;
  toy::writeFile(dir.file("m.hadal"), smallFile());
  StatusOr<Artifact> artifact = Artifact::open(dir.file("m.hadal"));
  ASSERT_TRUE(artifact.ok()) << artifact.status().toString();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(artifact->blob(0).data()) % 4096, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(artifact->blob(1).data()) % 4096, 0u);
  EXPECT_EQ(artifact->blob(0).size(), 600u);
  EXPECT_EQ(artifact->blob(1).size(), 77u);
  EXPECT_EQ(artifact->blob(1)[76], 0x41);
  EXPECT_EQ(artifact->findImage("v3"), 0u);
  EXPECT_EQ(artifact->findImage("v4"), std::nullopt);
  EXPECT_EQ(artifact->findState("hidden"), 4u);
}

TEST(ArtifactFile, EverySingleBitFlipIsDetected) {
  std::vector<uint8_t> file = smallFile();
  ASSERT_LT(file.size(), 24u << 10);
  for (size_t byte = 0; byte < file.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      file[byte] ^= 1u << bit;
      int code = codeOf(file);
      ASSERT_TRUE(code >= 4001 && code <= 4004)
          << "byte " << byte << " bit " << bit << ": code " << code;
      file[byte] ^= 1u << bit;
    }
}

TEST(ArtifactFile, EveryTruncationIsDetected) {
  std::vector<uint8_t> file = smallFile();
  for (size_t size = 0; size < file.size(); ++size) {
    // A copy of exactly that size, so that a sanitizer sees a read beyond it.
    std::vector<uint8_t> cut(file.begin(), file.begin() + size);
    ASSERT_EQ(codeOf(cut), 4003) << size << " bytes";
  }
}

TEST(ArtifactFile, BytesAfterTheEndAreDetected) {
  std::vector<uint8_t> file = smallFile();
  file.push_back(0);
  EXPECT_EQ(codeOf(file), 4004);
}

TEST(ArtifactFile, OtherFilesAndVersionsAreNamed) {
  std::vector<uint8_t> text(5000, 'x');
  EXPECT_EQ(codeOf(text), 4001);
  Status version = artifact::verifyFile(
      withHeader([](auto &h) { h.version = 3; }), "m.hadal");
  EXPECT_EQ(version.code(), 4002);
  EXPECT_NE(version.message().find("format version 3, this runtime reads "
                                   "versions 1 to 2"),
            std::string::npos);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.version = 0; })), 4002);
}

TEST(ArtifactFile, FilesOfTheFirstVersionAreRead) {
  EXPECT_TRUE(artifact::verifyFile(withHeader([](auto &h) { h.version = 1; }),
                                   "m.hadal")
                  .ok());
}

TEST(ArtifactFile, LyingHeadersWithValidHashesAreRefused) {
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.headerBytes = 32; })), 4004);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.manifestOffset = 0; })), 4004);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.manifestOffset = ~0ull; })),
            4004);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.manifestBytes = ~0ull; })), 4004);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.manifestBytes = 1ull << 31; })),
            4004);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.manifestBytes = 0; })), 4004);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.fileBytes = ~0ull; })), 4003);
  EXPECT_EQ(codeOf(withHeader([](auto &h) { h.fileBytes -= 1; })), 4004);
}

TEST(ArtifactFile, ManifestsThatAreNoFlatbufferAreRefused) {
  // Every single-byte edit of the manifest with all hashes made right again:
  // accepted or refused, but never a crash, and a well-formed error.
  std::vector<uint8_t> file = smallFile();
  artifact::FileHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  int refused = 0;
  for (uint64_t i = 0; i < header.manifestBytes; ++i) {
    uint8_t &byte = file[artifact::kHeaderBytes + i];
    for (uint8_t flip : {0x01, 0x80, 0xff}) {
      byte ^= flip;
      artifact::FileHeader edited = header;
      edited.manifestHash = artifact::hash(file.data() + artifact::kHeaderBytes,
                                           header.manifestBytes);
      edited.headerHash =
          artifact::hash(&edited, artifact::kHashedHeaderBytes);
      std::memcpy(file.data(), &edited, sizeof(edited));
      int code = codeOf(file);
      ASSERT_TRUE(code == 0 || (code >= 4004 && code <= 4007)) << code;
      refused += code != 0;
      byte ^= flip;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(ArtifactFile, AssemblyRefusesAWrongNumberOfBlobs) {
  flatbuffers::FlatBufferBuilder builder;
  schema::ArtifactT a = toy::model();
  builder.Finish(schema::Artifact::Pack(builder, &a), artifact::kIdentifier);
  std::vector<uint8_t> manifest(
      builder.GetBufferPointer(),
      builder.GetBufferPointer() + builder.GetSize());
  std::vector<uint8_t> bytes(4, 1);
  std::vector<artifact::BlobContent> blobs = {artifact::plainBlob(bytes)};
  EXPECT_FALSE(artifact::assembleArtifact(manifest, blobs).has_value());
}

TEST(ArtifactFile, MissingFilesAndDirectoriesAreErrors) {
  toy::TempDir dir;
  EXPECT_EQ(Artifact::open(dir.file("none.hadal")).status().code(), 5001);
  EXPECT_EQ(Artifact::open(dir.path()).status().code(), 5001);
  toy::writeFile(dir.file("empty.hadal"), {});
  EXPECT_EQ(Artifact::open(dir.file("empty.hadal")).status().code(), 4003);
}
