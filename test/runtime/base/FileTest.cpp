// Files: mapping, output, .npy.
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/MappedFile.h"
#include "runtime/base/Npy.h"
#include "runtime/base/OutputFile.h"
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

jmp_buf lostMapping;

/// A program that embeds the library keeps its handler, and its life.
TEST(MappedFileTest, leavesTheHandlersOfOthersAlone) {
  TempDirectory directory;
  std::string path = directory.write("shard", std::string(3 << 20, 'x'));
  struct sigaction ours = {}, before;
  ours.sa_handler = [](int) { longjmp(lostMapping, 1); };
  ours.sa_flags = SA_NODEFER;
  ASSERT_EQ(sigaction(SIGBUS, &ours, &before), 0);
  {
    StatusOr<MappedFile> file = MappedFile::open(path);
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
    volatile bool survived = false;
    if (setjmp(lostMapping) == 0)
      (void)*static_cast<const volatile uint8_t *>(file->data() + (2 << 20));
    else
      survived = true;
    EXPECT_TRUE(survived);
  }
  sigaction(SIGBUS, &before, nullptr);
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
  EXPECT_EXIT(
      raiseBusError(), [](int status) { return status != 0; }, "");
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
    StatusOr<OutputFile> writer = OutputFile::create(directory.file("out"));
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

Status writeOut(const std::string &path, std::string_view bytes) {
  StatusOr<OutputFile> file = OutputFile::create(path);
  HADAL_RETURN_IF_ERROR(file.status());
  HADAL_RETURN_IF_ERROR(file->write(bytes));
  return file->commit();
}

TEST(OutputFileTest, keepsTheModeOfWhatItReplaces) {
  TempDirectory directory;
  std::string path = directory.write("out", "old");
  for (mode_t mode : {0600u, 0755u, 0640u}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    ASSERT_TRUE(writeOut(path, "new").ok());
    struct stat info;
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, mode);
  }
  EXPECT_EQ(directory.read("out"), "new");
  // The longest name there may be leaves no room for a suffix.
  std::string longest(255, 'n');
  Status status = writeOut(directory.file(longest), "x");
  EXPECT_TRUE(status.ok()) << status.toString();
  EXPECT_EQ(directory.numFiles(), 2u);
}

TEST(OutputFileTest, followsLinks) {
  TempDirectory directory;
  namespace fs = std::filesystem;
  fs::create_directory(directory.file("real"));
  directory.write("real/target", "old");
  fs::create_symlink("real/target", directory.file("link"));
  fs::create_symlink(directory.file("link"), directory.file("second"));
  fs::create_directory_symlink("real", directory.file("folder"));
  fs::create_symlink("real/none", directory.file("dangling"));
  fs::create_symlink("loop", directory.file("loop"));
  for (const char *name : {"link", "second", "folder/target"}) {
    ASSERT_TRUE(writeOut(directory.file(name), name).ok());
    EXPECT_EQ(directory.read("real/target"), name);
  }
  EXPECT_TRUE(fs::is_symlink(directory.file("link")));
  EXPECT_TRUE(fs::is_symlink(directory.file("second")));
  ASSERT_TRUE(writeOut(directory.file("dangling"), "made").ok());
  EXPECT_TRUE(fs::is_symlink(directory.file("dangling")));
  EXPECT_EQ(directory.read("real/none"), "made");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.file("real")), {}),
            2);
  expectError(writeOut(directory.file("loop"), "x"), 5015,
              {"loop", "Too many levels of symbolic links"});
  fs::create_directory_symlink(directory.file("real"), directory.file("dir"));
  expectError(writeOut(directory.file("dir"), "x"), 5015,
              {"Is a directory", "no file was changed"});
}

TEST(OutputFileTest, writesToPipesAndDevices) {
  TempDirectory directory;
  ASSERT_EQ(::mkfifo(directory.file("fifo").c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] {
    std::ifstream in(directory.file("fifo"));
    received.assign(std::istreambuf_iterator<char>(in), {});
  });
  StatusOr<OutputFile> pipe = OutputFile::create(directory.file("fifo"));
  ASSERT_TRUE(pipe.ok()) << pipe.status().toString();
  // More than a pipe holds, and a header that is known last.
  const std::string body(3 << 20, 'b');
  ASSERT_TRUE(pipe->write("head").ok());
  ASSERT_TRUE(pipe->write(body).ok());
  ASSERT_TRUE(pipe->writeAt(0, "HEAD").ok());
  ASSERT_TRUE(pipe->commit().ok());
  reader.join();
  EXPECT_TRUE(received == "HEAD" + body);
  struct stat info;
  ASSERT_EQ(::lstat(directory.file("fifo").c_str(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode)) << "the pipe was replaced";

  std::filesystem::create_symlink("/dev/null", directory.file("null"));
  for (const std::string &path :
       {std::string("/dev/null"), directory.file("null")}) {
    EXPECT_TRUE(OutputFile::isStream(path));
    EXPECT_TRUE(writeOut(path, "x").ok());
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_TRUE(S_ISCHR(info.st_mode));
  }
  Status full = writeOut("/dev/full", "x");
  expectError(full, 5015, {"/dev/full", "No space left", "may have arrived"});
  EXPECT_FALSE(OutputFile::isStream(directory.file("new")));
}

/// An open descriptor is written to where it stands, whatever it is of: its
/// file may have no name any more, or one that something else has taken.
TEST(OutputFileTest, writesToOpenDescriptors) {
  TempDirectory directory;
  std::string path = directory.write("log", "first\n");
  int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  for (const char *form : {"/dev/fd/{}", "/proc/self/fd/{}"})
    ASSERT_TRUE(writeOut(fmt::format(fmt::runtime(form), fd), "more\n").ok());
  EXPECT_EQ(directory.read("log"), "first\nmore\nmore\n");
  std::filesystem::create_symlink(fmt::format("/proc/self/fd/{}", fd),
                                  directory.file("link"));
  std::filesystem::rename(path, directory.file("renamed"));
  directory.write("log", "another");
  ASSERT_TRUE(writeOut(directory.file("link"), "last\n").ok());
  EXPECT_EQ(directory.read("renamed"), "first\nmore\nmore\nlast\n");
  EXPECT_EQ(directory.read("log"), "another");
  EXPECT_EQ(directory.numFiles(), 3u);
  ::close(fd);
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
