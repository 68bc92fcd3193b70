// A checkpoint directory as the frontend sees it. What the reader takes and
// refuses is tested with the reader (test/runtime/checkpoint); here, that every
// refusal of it is H1006 and that nothing is lost on the way.
#include "frontend/Checkpoint.h"
#include "frontend/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

using namespace hadal;

namespace {

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
  /// A file with f32 tensors of one element.
  void writeTensors(llvm::StringRef file,
                    const std::vector<std::string> &names) {
    std::string header;
    for (size_t i = 0; i < names.size(); ++i)
      header += llvm::formatv("{0}\"{1}\":{{\"dtype\":\"F32\",\"shape\":[1],"
                              "\"data_offsets\":[{2},{3}]}",
                              i ? "," : "{", names[i], 4 * i, 4 * i + 4)
                    .str();
    header += "}";
    write(file,
          prefix(header.size()) + header + std::string(4 * names.size(), '\0'));
  }
  void writeTensor(llvm::StringRef file, llvm::StringRef name) {
    writeTensors(file, {name.str()});
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

TEST_F(CheckpointDirectory, KeepsDtypesAndShapes) {
  std::string header =
      R"({"__metadata__":{"x":"y"},
          "a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
          "b":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[12,16]},
          "c":{"dtype":"C64","shape":[0,9223372036854775808],
               "data_offsets":[16,16]}})";
  write("a.safetensors", prefix(header.size()) + header + std::string(16, 'x'));
  auto out = readCheckpoint(directory);
  ASSERT_TRUE(static_cast<bool>(out)) << llvm::toString(out.takeError());
  EXPECT_EQ((*out)->tensors.size(), 3u);
  EXPECT_EQ((*out)->find("a")->dtype, "BF16");
  EXPECT_EQ((*out)->find("a")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*out)->find("b")->dtype, "F8_E4M3");
  EXPECT_EQ((*out)->find("c")->shape[1], INT64_MAX);
}

TEST_F(CheckpointDirectory, TellsLeftoversOfAnIndex) {
  writeTensor("a.safetensors", "x");
  writeTensor("b.safetensors", "y");
  writeTensor("c.safetensors", "z");
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"b.safetensors"}})");
  expectBad("puts tensor x into 'b.safetensors'");
  writeTensors("b.safetensors", {"x", "y"});
  auto out = readCheckpoint(directory);
  ASSERT_TRUE(static_cast<bool>(out)) << llvm::toString(out.takeError());
  EXPECT_TRUE((*out)->find("x")->isListed);
  EXPECT_FALSE((*out)->find("y")->isListed);
  EXPECT_EQ((*out)->find("z"), nullptr);
  EXPECT_EQ((*out)->passedOver, "passed over 2 files that are not part of the "
                                "model: a.safetensors, c.safetensors");
}

TEST_F(CheckpointDirectory, RefusesDuplicates) {
  writeTensor("a.safetensors", "x");
  writeTensor("b.safetensors", "x");
  expectBad("tensor x is in both");
}

TEST_F(CheckpointDirectory, RefusesAnAbsentShard) {
  write("model.safetensors.index.json",
        R"({"weight_map":{"x":"a.safetensors"}})");
  expectBad("a.safetensors': No such file");
}

TEST_F(CheckpointDirectory, RefusesAMalformedHeader) {
  write("a.safetensors", prefix(uint64_t(1) << 60) + "{}");
  expectBad("found 1152921504606846976; is this a safetensors file?");
  write("a.safetensors", "abc");
  expectBad("expected at least 8 bytes, found 3");
  write("a.safetensors", prefix(2) + "[]");
  expectBad("expected a header that starts with '{'");
}

TEST_F(CheckpointDirectory, RefusesOtherFormats) {
  write("pytorch_model.bin", "weights");
  expectBad("expected *.safetensors, found pytorch_model.bin");
}

} // namespace
