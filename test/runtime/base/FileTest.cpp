// Files: mapping, atomic writing, .npy.
#include <csignal>
#include <cstring>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/OutputFile.h"
#include "runtime/base/MappedFile.h"
#include "runtime/base/Npy.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using hadal::test::expectError;
using hadal::test::TempDirectory;

namespace {

TEST(MappedFileTest, mapsAWholeFile) {
  TempDirectory directory;
  std::string path = directory.write("f", "hello");
  uint64_t before = MappedFile::totalMappedBytes();
  {
    StatusOr<MappedFile> file = MappedFile::open(path, 5);
    ASSERT_TRUE(file.ok()) << file.status().toString();
    EXPECT_EQ(std::memcmp(file->data(), "hello", 5), 0);
    EXPECT_EQ(file->path(), path);
    EXPECT_EQ(MappedFile::totalMappedBytes(), before + 5);
    file->adviseWillNeed(0, 100);
    file->adviseWillNeed(9, 1);
    MappedFile moved = std::move(*file);
    EXPECT_EQ(moved.size(), 5u);
  }
  EXPECT_EQ(MappedFile::totalMappedBytes(), before);
}

TEST(MappedFileTest, mapsAnEmptyFileToNothing) {
  TempDirectory directory;
  StatusOr<MappedFile> file = MappedFile::open(directory.write("f", ""));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFileTest, refusesWhatIsNoFileOfThatSize) {
  TempDirectory directory;
  std::string path = directory.write("f", "hello");
  expectError(MappedFile::open(path, 6).status(), 5001,
              {path, "expected 6 bytes, found 5"});
  expectError(MappedFile::open(directory.file("absent")).status(), 5001,
              {directory.file("absent"), "No such file"});
  expectError(MappedFile::open(directory.path()).status(), 5001,
              {directory.path(), "a directory"});
}

TEST(MappedFileDeathTest, namesTheFileThatShrank) {
  TempDirectory directory;
  std::string path = directory.write("shard", std::string(3 << 20, 'x'));
  auto readAfterTruncation = [&] {
    endProcessAtLostMapping();
    StatusOr<MappedFile> other =
        MappedFile::open(directory.write("other", "y"));
    StatusOr<MappedFile> file = MappedFile::open(path);
    if (!file.ok() || ::truncate(path.c_str(), 4096) != 0)
      std::exit(99);
    volatile uint8_t byte = file->data()[2 << 20];
    std::exit(byte);
  };
  EXPECT_EXIT(readAfterTruncation(), testing::ExitedWithCode(3),
              "error H5012: cannot read '.*/shard'");
}

TEST(MappedFileDeathTest, leavesAForeignBusErrorAlone) {
  TempDirectory directory;
  std::string path = directory.write("f", "x");
  auto raiseBusError = [&] {
    endProcessAtLostMapping();
    StatusOr<MappedFile> file = MappedFile::open(path);
    ::raise(SIGBUS);
    ::raise(SIGBUS);
    std::exit(0);
  };
  // The sanitizers' handler ends the process another way, never with success.
  EXPECT_EXIT(raiseBusError(), [](int status) { return status != 0; }, "");
}

TEST(OutputFileTest, replacesTheTargetAtCommit) {
  TempDirectory directory;
  std::string path = directory.write("out", "old");
  StatusOr<OutputFile> writer = OutputFile::create(path);
  ASSERT_TRUE(writer.ok()) << writer.status().toString();
  std::string large(3 << 20, 'z');
  ASSERT_TRUE(writer->write("head").ok());
  ASSERT_TRUE(writer->write(large).ok());
  EXPECT_EQ(directory.read("out"), "old");
  ASSERT_TRUE(writer->writeAt(1, "EA").ok());
  ASSERT_TRUE(writer->write("!").ok());
  EXPECT_EQ(writer->size(), large.size() + 5);
  expectError(writer->writeAt(writer->size(), "x"), 5014, {"beyond"});
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(directory.read("out"), "hEAd" + large + "!");
  EXPECT_EQ(directory.numFiles(), 1u);
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST(OutputFileTest, leavesNothingWithoutCommit) {
  TempDirectory directory;
  {
    StatusOr<OutputFile> writer =
        OutputFile::create(directory.file("out"));
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->write("partial").ok());
    OutputFile moved = std::move(*writer);
  }
  EXPECT_EQ(directory.numFiles(), 0u);
}

TEST(OutputFileTest, refusesATargetThatCannotBe) {
  TempDirectory directory;
  std::string absent = directory.file("no/such/out");
  expectError(OutputFile::create(absent).status(), 5015,
              {absent, "No such file or directory"});
  expectError(OutputFile::create(directory.path(), 4006).status(), 4006,
              {directory.path(), "Is a directory"});
}

/// Writes 4 MiB to |path|; exits 0 if that fails with |code| and |reason| and
/// leaves the old file alone.
void writeTooMuch(const TempDirectory &directory, const std::string &path,
                  const std::string &reason) {
  StatusOr<OutputFile> writer = OutputFile::create(path, 4006);
  if (!writer.ok())
    std::exit(10);
  Status status = writer->write(std::string(4 << 20, 'z'));
  if (status.ok())
    status = writer->commit();
  if (status.code() != 4006 ||
      status.message().find(reason) == std::string::npos ||
      status.message().find(path) == std::string::npos)
    std::exit(11);
  if (writer->commit().ok() || writer->write("x").ok())
    std::exit(12);
  std::ifstream old(path);
  std::string text{std::istreambuf_iterator<char>(old), {}};
  size_t files = std::distance(std::filesystem::directory_iterator(
                                   std::filesystem::path(path).parent_path()),
                               {});
  std::exit(text == "old" && files == 1 ? 0 : 13);
}

TEST(OutputFileDeathTest, cleansUpAtTheFileSizeLimit) {
  TempDirectory directory;
  std::string path = directory.write("out", "old");
  auto child = [&] {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    writeTooMuch(directory, path, "file size limit");
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

TEST(OutputFileDeathTest, cleansUpOnAFullDisk) {
  TempDirectory directory;
  std::string mount = directory.file("disk");
  std::filesystem::create_directory(mount);
  if (::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "mounting a tmpfs needs root: " << std::strerror(errno);
  std::string path = directory.write("disk/out", "old");
  EXPECT_EXIT(writeTooMuch(directory, path, "free some space"),
              testing::ExitedWithCode(0), "");
  ::umount(mount.c_str());
}

TEST(NpyTest, writesRowsWithTheirCountInTheHeader) {
  TempDirectory directory;
  StatusOr<NpyWriter> writer = NpyWriter::create(directory.file("a.npy"), 3);
  ASSERT_TRUE(writer.ok()) << writer.status().toString();
  const float values[] = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(writer->append(std::span(values).first(3)).ok());
  ASSERT_TRUE(writer->append(std::span(values).last(3)).ok());
  expectError(writer->append(std::span(values).first(2)), 5014,
              {"2 values", "3 columns"});
  ASSERT_TRUE(writer->commit().ok());
  std::string bytes = directory.read("a.npy");
  ASSERT_EQ(bytes.size(), 128 + sizeof(values));
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_EQ(bytes.substr(10, 61),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  ");
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_EQ(std::memcmp(bytes.data() + 128, values, sizeof(values)), 0);
}

} // namespace
