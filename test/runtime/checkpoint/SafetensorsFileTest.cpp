#include "runtime/checkpoint/SafetensorsFile.h"

#include "runtime/checkpoint/CheckpointIndex.h"
#include "test/runtime/TempDirectory.h"
#include "test/runtime/checkpoint/Safetensors.h"

using namespace hadal;
using namespace hadal::test;

namespace {

TEST(SafetensorsFileTest, findsTensors) {
  TempDirectory directory;
  std::string path = directory.write(
      "a.safetensors", SafetensorsBuilder()
                           .add("x", "F32", {2, 3}, std::string(24, 'x'))
                           .add("empty", "BF16", {0, 7}, "")
                           .add("scalar", "I64", {}, "12345678")
                           .add("codes", "F8_E4M3", {5}, "abcde")
                           .bytes());
  StatusOr<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().toString();
  EXPECT_EQ(file->tensors().size(), 4u);
  const SafetensorsTensor *codes = file->find("codes");
  ASSERT_NE(codes, nullptr);
  EXPECT_STREQ(safetensorsDTypeName(codes->dtype), "F8_E4M3");
  std::span<const uint8_t> data = file->data(*codes);
  EXPECT_EQ(std::string(data.begin(), data.end()), "abcde");
  EXPECT_EQ(file->find("x")->shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(file->find("empty")->bytes, 0u);
  EXPECT_EQ(file->find("y"), nullptr);
}

TEST(SafetensorsFileTest, acceptsMetadataAndNoTensors) {
  TempDirectory directory;
  std::string path = directory.write(
      "a", safetensorsBytes(R"({"__metadata__":{"format":"pt"}}   )", ""));
  StatusOr<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().toString();
  EXPECT_TRUE(file->tensors().empty());
}

struct Malformed {
  const char *name;
  std::string header, data;
  std::vector<std::string> reasons;
};

std::string tensor(const std::string &name, const std::string &body) {
  return "\"" + name + "\":{" + body + "}";
}
std::string f32(const std::string &shape, const std::string &offsets) {
  return R"("dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets;
}

TEST(SafetensorsFileTest, refusesMalformedHeaders) {
  const std::vector<Malformed> cases = {
      {"no header", "", "", {"starts with '{'"}},
      {"array", "[]", "", {"starts with '{'"}},
      {"space first", " {}", "", {"starts with '{'"}},
      {"cut JSON", "{\"a\":", "", {"not valid JSON"}},
      {"two values", "{}{}", "", {"not valid JSON"}},
      {"bad UTF-8", "{\"\xff\":1}", "", {"UTF-8"}},
      {"deep", "{\"a\":[[[[[[1]]]]]]}", "", {"deeper than 4"}},
      {"duplicate tensor",
       "{" + tensor("w", f32("[1]", "[0,4]")) + "," +
           tensor("w", f32("[1]", "[0,4]")) + "}",
       "abcd",
       {"duplicate key \"w\""}},
      {"duplicate member",
       "{" + tensor("w", R"("dtype":"U8",)" + f32("[1]", "[0,4]")) + "}",
       "abcd",
       {"duplicate key \"dtype\""}},
      {"tensor is a number", "{\"w\":1}", "", {"tensor w", "found number"}},
      {"metadata is a list", R"({"__metadata__":[]})", "", {"__metadata__"}},
      {"metadata value",
       R"({"__metadata__":{"a":1}})",
       "",
       {"expected a string as __metadata__ \"a\", found number"}},
      {"no dtype",
       R"({"w":{"shape":[1],"data_offsets":[0,4]}})",
       "abcd",
       {"tensor w", "\"dtype\""}},
      {"unknown dtype",
       R"({"w":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})",
       "abcd",
       {"tensor w", "unknown dtype \"F4\""}},
      {"no shape",
       R"({"w":{"dtype":"F32","data_offsets":[0,4]}})",
       "abcd",
       {"tensor w", "\"shape\", found none"}},
      {"negative extent",
       "{" + tensor("w", f32("[-1]", "[0,4]")) + "}",
       "abcd",
       {"tensor w", "non-negative integers in \"shape\""}},
      {"fractional extent",
       "{" + tensor("w", f32("[1.0]", "[0,4]")) + "}",
       "abcd",
       {"tensor w", "found number"}},
      {"extent beyond 64 bits",
       "{" + tensor("w", f32("[18446744073709551616]", "[0,4]")) + "}",
       "abcd",
       {"tensor w", "non-negative integers"}},
      {"shape wraps to zero",
       "{" + tensor("w", f32("[4294967296,4294967296]", "[0,0]")) + "}",
       "",
       {"tensor w", "overflows"}},
      {"size wraps to zero",
       "{" + tensor("w", f32("[4611686018427387904]", "[0,0]")) + "}",
       "",
       {"tensor w", "overflows"}},
      {"zero hides an overflow",
       "{" + tensor("w", f32("[4294967296,4294967296,0]", "[0,0]")) + "}",
       "",
       {"tensor w", "overflows"}},
      {"no offsets",
       R"({"w":{"dtype":"F32","shape":[1]}})",
       "abcd",
       {"tensor w", "data_offsets", "found none"}},
      {"one offset",
       "{" + tensor("w", f32("[1]", "[4]")) + "}",
       "abcd",
       {"tensor w", "two non-negative integers, found [4]"}},
      {"negative offset",
       "{" + tensor("w", f32("[1]", "[-4,0]")) + "}",
       "abcd",
       {"tensor w", "[-4,0]"}},
      {"backward",
       "{" + tensor("w", f32("[1]", "[4,0]")) + "}",
       "abcd",
       {"tensor w", "end before they begin"}},
      {"range too short",
       "{" + tensor("w", f32("[2]", "[0,4]")) + "}",
       "abcd",
       {"tensor w", "F32 [2] needs 8 bytes", "[0, 4] hold 4"}},
      {"elements beyond an empty range",
       "{" + tensor("w", f32("[2]", "[0,0]")) + "}",
       "",
       {"needs 8 bytes"}},
      {"overlap",
       "{" + tensor("a", f32("[2]", "[0,8]")) + "," +
           tensor("b", f32("[1]", "[4,8]")) + "}",
       "abcdefgh",
       {"tensor b overlaps", "offset 8, found 4"}},
      {"hole",
       "{" + tensor("a", f32("[1]", "[0,4]")) + "," +
           tensor("b", f32("[1]", "[8,12]")) + "}",
       "abcdefghijkl",
       {"tensor b leaves a hole", "offset 4, found 8"}},
      {"hole at the start",
       "{" + tensor("a", f32("[1]", "[4,8]")) + "}",
       "abcdefgh",
       {"tensor a leaves a hole"}},
      {"data missing",
       "{" + tensor("a", f32("[2]", "[0,8]")) + "}",
       "abcd",
       {"need 8 bytes", "has 4"}},
      {"data left over",
       "{" + tensor("a", f32("[1]", "[0,4]")) + "}",
       "abcdefgh",
       {"need 4 bytes", "has 8"}}};
  for (const Malformed &malformed : cases) {
    SCOPED_TRACE(malformed.name);
    TempDirectory directory;
    std::string path = directory.write(
        "bad.safetensors", safetensorsBytes(malformed.header, malformed.data));
    StatusOr<SafetensorsFile> file = SafetensorsFile::open(path);
    ASSERT_FALSE(file.ok());
    expectError(file.status(), 5002, {path});
    for (const std::string &reason : malformed.reasons)
      expectError(file.status(), 5002, {reason});
  }
}

TEST(SafetensorsFileTest, refusesLyingHeaderLengths) {
  TempDirectory directory;
  auto openWithLength = [&](uint64_t length) {
    std::string bytes(8, 0);
    std::memcpy(bytes.data(), &length, 8);
    return SafetensorsFile::open(directory.write("f", bytes + "{}")).status();
  };
  EXPECT_TRUE(openWithLength(2).ok());
  expectError(openWithLength(3), 5002, {"truncated", "ends at byte 11"});
  expectError(openWithLength(100'000'001), 5002, {"at most 100000000"});
  expectError(openWithLength(~uint64_t{0}), 5002, {"at most 100000000"});
  expectError(SafetensorsFile::open(directory.write("s", "1234567")).status(),
              5002, {"at least 8 bytes, found 7"});
  expectError(SafetensorsFile::open(directory.write("e", "")).status(), 5002,
              {"at least 8 bytes, found 0"});
}

TEST(SafetensorsFileTest, refusesEveryTruncation) {
  TempDirectory directory;
  std::string bytes = SafetensorsBuilder()
                          .add("a", "F32", {2}, "abcdefgh")
                          .add("b", "U8", {3}, "ijk")
                          .bytes();
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_EQ(
        SafetensorsFile::open(directory.write("f", bytes.substr(0, length)))
            .status()
            .code(),
        5002)
        << length;
}

/// Flipping any byte of a header gives an error or a file whose tensors lie
/// inside it, never a crash.
TEST(SafetensorsFileTest, survivesEveryByteOfAHeader) {
  TempDirectory directory;
  std::string bytes = SafetensorsBuilder()
                          .add("a", "F32", {2}, "abcdefgh")
                          .add("b", "U8", {3}, "ijk")
                          .bytes();
  size_t accepted = 0;
  for (size_t at = 0; at < bytes.size() - 11; ++at)
    for (int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string mutant = bytes;
      mutant[at] = static_cast<char>(mutant[at] ^ flip);
      StatusOr<SafetensorsFile> file =
          SafetensorsFile::open(directory.write("f", mutant));
      if (!file.ok())
        continue;
      ++accepted;
      for (const auto &[name, entry] : file->tensors())
        EXPECT_LE(entry.begin + entry.bytes, mutant.size());
    }
  EXPECT_GT(accepted, 0u); // names may change
}

class CheckpointIndexTest : public testing::Test {
protected:
  CheckpointIndexTest() {
    first_ = SafetensorsBuilder().add("a", "U8", {1}, "a").bytes();
    second_ = SafetensorsBuilder().add("b", "U8", {2}, "bb").bytes();
  }
  Status open() { return CheckpointIndex::open(directory_.path()).status(); }

  TempDirectory directory_;
  std::string first_, second_;
};

TEST_F(CheckpointIndexTest, readsAllFilesOfTheDirectory) {
  directory_.write("x-2.safetensors", second_);
  directory_.write("x-1.safetensors", first_);
  directory_.write("notes.txt", "no tensors");
  StatusOr<CheckpointIndex> index = CheckpointIndex::open(directory_.path());
  ASSERT_TRUE(index.ok()) << index.status().toString();
  EXPECT_EQ(index->files().size(), 2u);
  EXPECT_EQ(index->files()[0]->path(), directory_.file("x-1.safetensors"));
  EXPECT_EQ(index->numTensors(), 2u);
  StatusOr<CheckpointIndex::Entry> found = index->find("b");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->tensor->bytes, 2u);
  EXPECT_EQ(found->file, index->files()[1].get());
  expectError(index->find("c").status(), 5003,
              {"tensor c is missing", directory_.path(), "2 tensors"});
}

TEST_F(CheckpointIndexTest, prefersTheSingleFile) {
  directory_.write("model.safetensors", first_);
  directory_.write("training-state.safetensors", first_);
  StatusOr<CheckpointIndex> index = CheckpointIndex::open(directory_.path());
  ASSERT_TRUE(index.ok()) << index.status().toString();
  EXPECT_EQ(index->files().size(), 1u);
}

TEST_F(CheckpointIndexTest, prefersTheIndex) {
  directory_.write("one.safetensors", first_);
  directory_.write("two.safetensors", second_);
  directory_.write("model.safetensors", "broken, but not named");
  directory_.write("model.safetensors.index.json",
                   R"({"metadata":{"total_size":3},
                       "weight_map":{"a":"one.safetensors",
                                     "b":"two.safetensors"}})");
  StatusOr<CheckpointIndex> index = CheckpointIndex::open(directory_.path());
  ASSERT_TRUE(index.ok()) << index.status().toString();
  EXPECT_EQ(index->numTensors(), 2u);
}

TEST_F(CheckpointIndexTest, refusesBadIndexes) {
  directory_.write("one.safetensors", first_);
  directory_.write("two.safetensors", second_);
  const std::tuple<const char *, int, const char *> cases[] = {
      {"", 5002, "not valid JSON"},
      {"[]", 5002, "\"weight_map\", found none"},
      {R"({"weight_map":[]})", 5002, "found array"},
      {R"({"weight_map":{"a":1}})", 5002, "tensor a"},
      {R"({"weight_map":{"a":""}})", 5002, "tensor a"},
      {R"({"weight_map":{"a":".."}})", 5002, "found \"..\""},
      {R"({"weight_map":{"a":"../one.safetensors"}})", 5002,
       "the same directory"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", 5002, "the same directory"},
      {R"({"weight_map":{"a":"one.safetensors\u0000"}})", 5002,
       "the same directory"},
      {R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})", 5002,
       "duplicate key"},
      {R"({"weight_map":{"a":"none.safetensors"}})", 5001, "none.safetensors"},
      {R"({"weight_map":{"c":"one.safetensors"}})", 5002,
       "in no file of the checkpoint"},
      {R"({"weight_map":{"a":"two.safetensors","b":"one.safetensors"}})", 5002,
       "puts tensor a into"}};
  for (auto [text, code, reason] : cases) {
    SCOPED_TRACE(text);
    directory_.write("model.safetensors.index.json", text);
    expectError(open(), code, {reason});
  }
}

TEST_F(CheckpointIndexTest, refusesDirectoriesWithoutACheckpoint) {
  expectError(open(), 5001, {"no weights in", directory_.path()});
  expectError(CheckpointIndex::open(directory_.file("none")).status(), 5001,
              {directory_.file("none"), "not a directory"});
  directory_.write("a.safetensors", first_);
  directory_.write("b.safetensors", first_);
  expectError(open(), 5002, {"tensor a is in both", "b.safetensors"});
}

} // namespace
