// Status, JSON, checksums, progress, memory.
#include <cmath>
#include <cstdio>
#include <thread>

#include "runtime/base/DType.h"
#include "runtime/base/Hash.h"
#include "runtime/base/Json.h"
#include "runtime/base/MappedFile.h"
#include "runtime/base/ProcessMemory.h"
#include "runtime/base/Progress.h"
#include "test/Sanitizers.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using hadal::test::expectError;
using hadal::test::TempDirectory;

namespace {

TEST(StatusTest, takesExitCodesFromTheTable) {
  EXPECT_EQ(Status().exitCode(), 0);
  EXPECT_EQ(error(5006, "x").exitCode(), 4);
  EXPECT_EQ(error(5003, "tensor {}", "w").toString(), "error H5003: tensor w");
  EXPECT_STREQ(errorSentence(5006), "out of memory");
  EXPECT_EQ(errorSentence(9999), nullptr);
}

TEST(HashTest, isXxh3) {
  // Vectors of the reference implementation, seed 0.
  EXPECT_EQ(xxh3(std::string_view("")), 0x2d06800538d394c2u);
  EXPECT_EQ(xxh3(std::string_view("a")), 0xe6c632b61e964e1fu);
  EXPECT_EQ(xxh3(std::string_view("abc")), 0x78af5f94892f3950u);
}

TEST(DTypeTest, sizesMatchNames) {
  EXPECT_EQ(dtypeSize(DType::none), 0u);
  EXPECT_EQ(dtypeSize(DType::f8e4m3fn), 1u);
  EXPECT_EQ(dtypeSize(DType::bf16), 2u);
  EXPECT_EQ(dtypeSize(DType::f32), 4u);
  EXPECT_EQ(dtypeSize(DType::i64), 8u);
  EXPECT_STREQ(dtypeName(DType::f8e8m0fnu), "f8e8m0fnu");
}

TEST(JsonTest, parsesAValue) {
  StatusOr<Json> value = parseJson(
      R"({"a": [1, -2, 2.5, "x", true, null, {"b": {}}], "c": 18446744073709551615})",
      5009, "f");
  ASSERT_TRUE(value.ok()) << value.status().toString();
  EXPECT_EQ(
      value->dump(),
      R"({"a":[1,-2,2.5,"x",true,null,{"b":{}}],"c":18446744073709551615})");
  EXPECT_EQ(asUnsigned(findMember(*value, "c")), 18446744073709551615u);
  const Json &array = *findMember(*value, "a");
  EXPECT_EQ(asUnsigned(&array[0]), 1u);
  EXPECT_EQ(asUnsigned(&array[1]), std::nullopt);
  EXPECT_EQ(asUnsigned(&array[2]), std::nullopt);
  EXPECT_EQ(*asString(&array[3]), "x");
  EXPECT_EQ(asBool(&array[4]), true);
  EXPECT_EQ(asBool(&array[5]), std::nullopt);
  EXPECT_EQ(asString(findMember(*value, "absent")), nullptr);
  EXPECT_EQ(findMember(array, "a"), nullptr);
}

TEST(JsonTest, refusesWhatIsNotStrictJson) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "byte 1"},
      {"{", "byte 2"},
      {"{} x", "byte 4"},
      {std::string("{}\0x", 4), "byte 3: zero byte"},
      {std::string("{}\0", 3), "byte 3: zero byte"},
      {"[1,]", "byte 4"},
      {"[NaN]", "byte 2"},
      {"[1e999]", "number overflow"},
      {"\"\xff\"", "UTF-8"},
      {"\"\\ud800\"", "surrogate"},
      {R"({"a":1,"b":2,"a":3})", "duplicate key \"a\""},
      {R"({"x":{"a":1,"a":1}})", "duplicate key \"a\""},
      {std::string(65, '[') + std::string(65, ']'), "deeper than 64"},
      {std::string(1000000, '['), "deeper than 64"}};
  for (const auto &[text, reason] : cases)
    expectError(parseJson(text, 5009, "the-file").status(), 5009,
                {"the-file", reason});
  EXPECT_TRUE(
      parseJson(std::string(64, '[') + std::string(64, ']'), 5009, "f").ok());
}

TEST(JsonTest, readsFilesUpToALimit) {
  TempDirectory directory;
  std::string path = directory.write("a.json", "[1, 2]");
  StatusOr<Json> value = readJsonFile(path, 1001);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->size(), 2u);
  JsonLimits limits;
  limits.bytes = 5;
  expectError(readJsonFile(path, 1001, limits).status(), 1001,
              {path, "at most 5 bytes, found 6"});
  expectError(readJsonFile(directory.file("b"), 1001).status(), 1001,
              {directory.file("b")});
}

TEST(ProgressTest, formatsBytes) {
  EXPECT_EQ(formatBytes(17), "17 B");
  EXPECT_EQ(formatBytes(1536), "1.50 KiB");
  EXPECT_EQ(formatBytes(uint64_t{700} << 20), "700 MiB");
  EXPECT_EQ(formatBytes(uint64_t{642} << 30), "642 GiB");
}

TEST(ProgressTest, printsPlainLinesOfLongStepsOnly) {
  std::FILE *stream = std::tmpfile();
  ASSERT_NE(stream, nullptr);
  auto text = [&] {
    std::string result(static_cast<size_t>(std::ftell(stream)), 0);
    std::rewind(stream);
    size_t n = std::fread(result.data(), 1, result.size(), stream);
    EXPECT_EQ(n, result.size());
    return result;
  };
  {
    Progress quick("quick", 10, Progress::Unit::Items, stream);
    quick.update(10);
  }
  EXPECT_EQ(text(), "");
  {
    Progress slow("slow", 10, Progress::Unit::Items, stream);
    std::this_thread::sleep_for(std::chrono::milliseconds(2050));
    slow.update(5);
    slow.update(9);
    slow.update(20);
  }
  std::string lines = text();
  EXPECT_EQ(lines.rfind("slow: 5 of 10 (50%), 2.", 0), 0u) << lines;
  EXPECT_NE(lines.find("\nslow: 10 of 10 (100%), 2."), std::string::npos)
      << lines;
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  std::fclose(stream);
}

TEST(ProcessMemoryTest, separatesAnonymousFromFilePages) {
  constexpr uint64_t kBytes = 32 << 20;
#if HADAL_TSAN || HADAL_ASAN
  GTEST_SKIP() << "a sanitizer's shadow counts as anonymous memory";
#endif
  TempDirectory directory;
  std::string path = directory.write("f", std::string(kBytes, 'x'));
  StatusOr<ProcessMemory> before = readProcessMemory();
  ASSERT_TRUE(before.ok());
  StatusOr<MappedFile> file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  uint64_t sum = 0;
  for (uint64_t i = 0; i < kBytes; i += 4096)
    sum += file->data()[i];
  EXPECT_EQ(sum, uint64_t{'x'} * (kBytes / 4096));
  StatusOr<ProcessMemory> mapped = readProcessMemory();
  ASSERT_TRUE(mapped.ok());
  // A file on a tmpfs counts as shared memory.
  EXPECT_GE(mapped->file + mapped->shared,
            before->file + before->shared + kBytes * 9 / 10);
  EXPECT_LT(mapped->anonymous, before->anonymous + kBytes / 2);
  std::string copy(reinterpret_cast<const char *>(file->data()), kBytes);
  StatusOr<ProcessMemory> copied = readProcessMemory();
  ASSERT_TRUE(copied.ok());
  EXPECT_GE(copied->anonymous, mapped->anonymous + kBytes * 9 / 10);
  EXPECT_GE(copied->peakResident, copied->resident);
  EXPECT_EQ(copy.back(), 'x');
  StatusOr<uint64_t> available = readAvailableMemory();
  ASSERT_TRUE(available.ok());
  EXPECT_GT(*available, 0u);
}

} // namespace
