#include "runtime/checkpoint/SafetensorsFile.h"

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

/// Also of types that no kernel reads: a tensor that the model leaves out may
/// have any.
TEST(SafetensorsFileTest, sizesEveryDtypeOfTheFormat) {
  const std::pair<const char *, unsigned> bits[] = {
      {"BOOL", 8},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6},
      {"U8", 8},      {"I8", 8},          {"F8_E5M2", 8},     {"F8_E4M3", 8},
      {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},        {"BF16", 16},       {"I32", 32},
      {"U32", 32},    {"F32", 32},        {"C64", 64},        {"F64", 64},
      {"I64", 64},    {"U64", 64}};
  TempDirectory directory;
  SafetensorsBuilder builder;
  for (auto [name, size] : bits)
    builder.add(name, name, {2, 4}, std::string(size, 'x'));
  StatusOr<SafetensorsFile> file =
      SafetensorsFile::open(directory.write("a", builder.bytes()));
  ASSERT_TRUE(file.ok()) << file.status().toString();
  for (auto [name, size] : bits) {
    EXPECT_STREQ(safetensorsDTypeName(file->find(name)->dtype), name);
    EXPECT_EQ(file->find(name)->bytes, size) << name;
  }
}

TEST(SafetensorsFileTest, takesTensorsInAnyOrderOfTheHeader) {
  TempDirectory directory;
  StatusOr<SafetensorsFile> file = SafetensorsFile::open(directory.write(
      "a", safetensorsBytes(
               "{"
               R"("a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]},)"
               R"("z":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},)"
               R"("m":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})"
               "}",
               "abcd")));
  ASSERT_TRUE(file.ok()) << file.status().toString();
  EXPECT_EQ(file->data(*file->find("a"))[0], 'b');
  EXPECT_EQ(file->data(*file->find("m"))[0], 'a');
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
       R"({"w":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}})",
       "abcd",
       {"tensor w", "unknown dtype \"F7\""}},
      {"half a byte",
       R"({"w":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})",
       "ab",
       {"tensor w", "F4 [3] does not fill whole bytes"}},
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

TEST(SafetensorsFileTest, namesAGitPointer) {
  TempDirectory directory;
  std::string path = directory.write(
      "model.safetensors", "version https://git-lfs.github.com/spec/v1\n"
                           "oid sha256:0123\nsize 4302350824\n");
  expectError(SafetensorsFile::open(path).status(), 5002,
              {path, "is a Git LFS pointer", "git lfs pull"});
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

} // namespace
