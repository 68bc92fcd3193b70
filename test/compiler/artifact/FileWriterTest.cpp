// Files appear whole or not at all.
#include <csignal>

#include <sys/resource.h>

#include "compiler/artifact/FileWriter.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;

namespace {

llvm::Error write(const std::string &path, const std::string &text) {
  return writeOutput(
      path, llvm::ArrayRef(reinterpret_cast<const uint8_t *>(text.data()),
                           text.size()));
}

void expectError(llvm::Error error, const std::string &part) {
  ASSERT_TRUE(static_cast<bool>(error)) << "no error; expected: " << part;
  std::string text = llvm::toString(std::move(error));
  EXPECT_NE(text.find("H4006: "), std::string::npos) << text;
  EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_NE(text.find("; no file was changed: choose another place with -o"),
            std::string::npos)
      << text;
}

} // namespace

TEST(FileWriterTest, ReplacesAFileAndLeavesNoOther) {
  test::TempDirectory directory;
  ASSERT_FALSE(static_cast<bool>(write(directory.file("a"), "first, longer")));
  ASSERT_FALSE(static_cast<bool>(write(directory.file("a"), "second")));
  EXPECT_EQ(directory.read("a"), "second");
  EXPECT_EQ(directory.numFiles(), 1u);
}

TEST(FileWriterTest, NamesThePlaceThatItCannotWriteTo) {
  test::TempDirectory directory;
  expectError(write(directory.path(), "x"), "Is a directory");
  expectError(write(directory.file("none/a"), "x"),
              "cannot create a temporary file beside '" +
                  directory.file("none/a") + "'");
}

TEST(FileWriterTest, AFullDiskLeavesTheOldFile) {
  test::TempDirectory directory;
  ASSERT_FALSE(static_cast<bool>(write(directory.file("a"), "old")));
  struct rlimit before, few{4096, 0};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  few.rlim_max = before.rlim_max;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &few), 0);
  llvm::Error error = write(directory.file("a"), std::string(10000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  expectError(std::move(error), "a' after 10000 bytes: File too large");
  EXPECT_EQ(directory.read("a"), "old");
  EXPECT_EQ(directory.numFiles(), 1u);
}
