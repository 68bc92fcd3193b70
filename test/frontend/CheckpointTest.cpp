// safetensors headers and indices: what is read and every refusal (H1006).
#include "frontend/Checkpoint.h"
#include "frontend/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

using namespace hadal;

namespace {

/// Parses |header| of a file with |dataBytes| bytes behind it.
llvm::Expected<llvm::StringMap<TensorInfo>> parse(std::string header,
                                                  uint64_t dataBytes) {
  return parseSafetensorsHeader(header, 8 + header.size() + dataBytes,
                                "m.safetensors");
}

void expectBad(std::string header, uint64_t dataBytes, const char *part) {
  auto out = parse(std::move(header), dataBytes);
  ASSERT_FALSE(static_cast<bool>(out)) << "parsed; expected: " << part;
  std::string text = llvm::toString(out.takeError());
  EXPECT_NE(text.find("H1006"), std::string::npos) << text;
  EXPECT_NE(text.find("m.safetensors"), std::string::npos) << text;
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

std::string entry(const char *fields) {
  return std::string("{\"a\":{") + fields + "}}";
}

TEST(SafetensorsHeader, ReadsTensorsAndSkipsMetadata) {
  auto out = parse(R"({"__metadata__":{"x":"y"},
      "a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
      "b":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[12,16]}})",
                   16);
  ASSERT_TRUE(static_cast<bool>(out)) << llvm::toString(out.takeError());
  EXPECT_EQ(out->size(), 2u);
  EXPECT_EQ((*out)["a"].dtype, "BF16");
  EXPECT_EQ((*out)["a"].shape, (std::vector<int64_t>{2, 3}));
}

TEST(SafetensorsHeader, RefusesLies) {
  expectBad("not json", 0, "the header is not valid JSON");
  expectBad("[]", 0, "the header is not a JSON object");
  expectBad(R"({"a":1})", 0, "not an object");
  expectBad(entry(R"("shape":[1],"data_offsets":[0,4])"), 4, "no dtype");
  expectBad(entry(R"("dtype":"Q4","shape":[1],"data_offsets":[0,4])"), 4,
            "unknown dtype \"Q4\"");
  expectBad(entry(R"("dtype":"F32","data_offsets":[0,4])"), 4, "no shape");
  expectBad(entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4,
            "not negative");
  expectBad(entry(R"("dtype":"F32","shape":[1])"), 4, "no data_offsets");
  expectBad(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4,
            "ascending");
  expectBad(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4,
            "span 4 bytes, dtype and shape need 8");
  expectBad(entry(R"("dtype":"F32","shape":[4611686018427387904,4],)"
                  R"("data_offsets":[0,0])"),
            0, "overflows");
}

TEST(SafetensorsHeader, RefusesHolesOverlapsAndTruncation) {
  expectBad(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8,
            "leave a hole");
  expectBad(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                "b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
            6, "overlap");
  expectBad(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 4,
            "truncated");
  expectBad(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), 9,
            "4 bytes of data, the file holds 9");
}

/// A directory of files for readCheckpoint.
class CheckpointDirectory : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("checkpoint", directory));
  }
  void TearDown() override { llvm::sys::fs::remove_directories(directory); }

  void write(llvm::StringRef name, llvm::StringRef bytes) {
    llvm::SmallString<128> path(directory);
    llvm::sys::path::append(path, name);
    std::error_code ec;
    llvm::raw_fd_ostream(path, ec) << bytes;
    ASSERT_FALSE(ec);
  }
  /// A file with one f32 tensor |name| of one element.
  void writeTensor(llvm::StringRef file, llvm::StringRef name) {
    std::string header =
        "{\"" + name.str() +
        R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
    write(file, prefix(header.size()) + header + std::string(4, '\0'));
  }
  static std::string prefix(uint64_t n) {
    std::string out;
    for (int i = 0; i < 8; ++i)
      out.push_back(static_cast<char>(n >> (8 * i)));
    return out;
  }
  void expectBad(const char *part) {
    auto out = readCheckpoint(directory);
    ASSERT_FALSE(static_cast<bool>(out)) << "read; expected: " << part;
    std::string text = llvm::toString(out.takeError());
    EXPECT_NE(text.find("H1006"), std::string::npos) << text;
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }

  llvm::SmallString<128> directory;
};

TEST_F(CheckpointDirectory, WithoutWeightsIsEmpty) {
  auto out = readCheckpoint(directory);
  ASSERT_TRUE(static_cast<bool>(out));
  EXPECT_FALSE(out->has_value());
}

TEST_F(CheckpointDirectory, ReadsShardsThroughTheIndex) {
  writeTensor("a.safetensors", "x");
  writeTensor("b.safetensors", "y");
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})");
  auto out = readCheckpoint(directory);
  ASSERT_TRUE(static_cast<bool>(out)) << llvm::toString(out.takeError());
  EXPECT_EQ((*out)->find("y")->file, "b.safetensors");
}

TEST_F(CheckpointDirectory, ReadsFilesWithoutAnIndex) {
  writeTensor("model.safetensors", "x");
  auto out = readCheckpoint(directory);
  ASSERT_TRUE(static_cast<bool>(out)) << llvm::toString(out.takeError());
  EXPECT_EQ((*out)->tensors.size(), 1u);
}

TEST_F(CheckpointDirectory, RefusesDuplicates) {
  writeTensor("a.safetensors", "x");
  writeTensor("b.safetensors", "x");
  expectBad("tensor 'x' is in a.safetensors and in b.safetensors");
}

TEST_F(CheckpointDirectory, RefusesAnAbsentShard) {
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"a.safetensors"}})");
  expectBad("a.safetensors: cannot be read");
}

TEST_F(CheckpointDirectory, RefusesAnIndexThatNamesAnotherTensor) {
  writeTensor("a.safetensors", "x");
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"a.safetensors","y":"a.safetensors"}})");
  expectBad("the index places tensor 'y' there, the file does not hold it");
}

TEST_F(CheckpointDirectory, RefusesATensorThatTheIndexLeavesOut) {
  writeTensor("a.safetensors", "x");
  writeTensor("b.safetensors", "y");
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"b.safetensors"}})");
  expectBad("tensor 'y' is not in the index");
}

TEST_F(CheckpointDirectory, RefusesPathsInTheIndex) {
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"../a.safetensors"}})");
  expectBad("tensor 'x' must name a file of the same directory");
}

TEST_F(CheckpointDirectory, RefusesAnIndexWithoutAMap) {
  write("model.safetensors.index.json", "{}");
  expectBad("has no 'weight_map' object");
}

TEST_F(CheckpointDirectory, RefusesALyingHeaderLength) {
  write("a.safetensors", prefix(uint64_t(1) << 60) + "{}");
  expectBad("the header claims 1152921504606846976 bytes, the file has 2");
}

TEST_F(CheckpointDirectory, RefusesATinyFile) {
  write("a.safetensors", "abc");
  expectBad("3 bytes are too few for a safetensors file");
}

TEST_F(CheckpointDirectory, RefusesAnEmptyHeader) {
  write("a.safetensors", prefix(0));
  expectBad("the header is empty");
}

} // namespace
