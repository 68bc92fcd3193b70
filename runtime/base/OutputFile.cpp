#include "runtime/base/OutputFile.h"

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hadal {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// The permissions that open(2) would give a new file; mkstemp gives 0600.
mode_t defaultMode() {
  // umask can only be read by setting it; two writers in one process that race
  // here both restore the same value.
  mode_t mask = ::umask(022);
  ::umask(mask);
  return 0666 & ~mask;
}

/// Writes all of |bytes| at the file position or at |offset| >= 0; 0 or errno.
int writeAll(int fd, std::string_view bytes, int64_t offset = -1) {
  while (!bytes.empty()) {
    ssize_t n = offset < 0 ? ::write(fd, bytes.data(), bytes.size())
                           : ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return errno;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    if (offset >= 0)
      offset += n;
  }
  return 0;
}

/// What a path leads to.
struct Destination {
  std::string path;    // behind all links but those of descriptors
  int descriptor = -1; // of this process, which |path| is another name of
  int problem = 0;     // errno
  struct stat info = {};
  bool exists = false;

  bool isStream() const {
    return descriptor >= 0 || (exists && !S_ISREG(info.st_mode));
  }
};

/// The descriptor that the link |path| stands for: /dev/fd/N, /proc/self/fd/N.
/// Such a link may not be followed: it leads to a name that something else may
/// have by now, or to none.
int descriptorOf(const std::string &path) {
  char *directory = ::realpath(directoryOf(path).c_str(), nullptr);
  if (!directory)
    return -1;
  const bool isOurs =
      fmt::format("/proc/{}/fd", ::getpid()) == directory ||
      fmt::format("/proc/{}/task/{}/fd", ::getpid(), ::gettid()) == directory;
  std::free(directory);
  if (!isOurs)
    return -1;
  const std::string name = path.substr(path.rfind('/') + 1);
  int number = -1;
  auto [end, failure] =
      std::from_chars(name.data(), name.data() + name.size(), number);
  return failure == std::errc() && *end == 0 ? number : -1;
}

Destination destinationOf(const std::string &target) {
  constexpr int kMaxLinks = 40; // of the kernel
  Destination result;
  result.path = target;
  for (int links = 0;; ++links) {
    if (::lstat(result.path.c_str(), &result.info) != 0) {
      result.problem = errno == ENOENT ? 0 : errno;
      return result;
    }
    result.exists = true;
    if (!S_ISLNK(result.info.st_mode))
      return result;
    if (links == kMaxLinks) {
      result.problem = ELOOP;
      return result;
    }
    if (int descriptor = descriptorOf(result.path); descriptor >= 0) {
      result.descriptor = descriptor;
      return result;
    }
    std::string next(PATH_MAX, 0);
    ssize_t length = ::readlink(result.path.c_str(), next.data(), next.size());
    if (length < 0) {
      result.problem = errno;
      return result;
    }
    next.resize(static_cast<size_t>(length));
    result.path =
        next.starts_with('/') ? next : directoryOf(result.path) + "/" + next;
    result.exists = false;
  }
}

} // namespace

bool OutputFile::isStream(const std::string &target) {
  return destinationOf(target).isStream();
}

StatusOr<OutputFile> OutputFile::create(const std::string &target,
                                        int errorCode) {
  OutputFile writer;
  writer.target_ = target;
  writer.errorCode_ = errorCode;
  Destination destination = destinationOf(target);
  writer.file_ = destination.path;
  if (destination.problem)
    return writer.fail("open", destination.problem);
  if (destination.isStream()) {
    if (destination.descriptor < 0 && S_ISDIR(destination.info.st_mode))
      return writer.fail("open", EISDIR);
    writer.stream_ =
        destination.descriptor >= 0
            ? ::fcntl(destination.descriptor, F_DUPFD_CLOEXEC, 3)
            : ::open(writer.file_.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    struct stat info;
    if (writer.stream_ < 0 || ::fstat(writer.stream_, &info) != 0)
      return writer.fail("open", errno);
    if (S_ISDIR(info.st_mode))
      return writer.fail("open", EISDIR);
    // Nameless: gone with the descriptor.
    const char *place = std::getenv("TMPDIR");
    writer.fd_ = ::open(place && *place ? place : "/tmp",
                        O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (writer.fd_ < 0)
      writer.fd_ = ::memfd_create("hadal-output", MFD_CLOEXEC);
    if (writer.fd_ < 0)
      return writer.fail("create a temporary file for", errno);
    return writer;
  }
  if (destination.exists && ::access(writer.file_.c_str(), W_OK) != 0)
    return writer.fail("write", errno);
  HADAL_RETURN_IF_ERROR(writer.createTemporary());
  if (destination.exists) {
    // Before the mode, which a change of the owner may cut. That it can't be
    // given away is no error: the file is replaced as an editor would.
    if (::fchown(writer.fd_, destination.info.st_uid,
                 destination.info.st_gid) != 0)
      errno = 0;
    if (::fchmod(writer.fd_, destination.info.st_mode & 07777) != 0)
      return writer.fail("set the permissions of", errno);
  } else if (::fchmod(writer.fd_, defaultMode()) != 0) {
    return writer.fail("set the permissions of", errno);
  }
  return writer;
}

Status OutputFile::createTemporary() {
  const size_t slash = file_.rfind('/');
  const size_t begin = slash == std::string::npos ? 0 : slash + 1;
  constexpr std::string_view kSuffix = ".tmp-XXXXXX";
  temporary_ = file_.substr(0, begin) +
               file_.substr(begin, NAME_MAX - kSuffix.size()) +
               std::string(kSuffix);
  auto held = CleanUp::lock();
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) {
    int reason = errno;
    temporary_.clear();
    return fail("create a temporary file beside", reason);
  }
  cleanUp_ = CleanUp([name = temporary_] { ::unlink(name.c_str()); });
  return Status();
}

Status OutputFile::fail(const char *what, int errorNumber) const {
  const char *remedy = "";
  if (errorNumber == ENOSPC || errorNumber == EDQUOT)
    remedy = "; free some space or write elsewhere";
  else if (errorNumber == EFBIG)
    remedy = "; raise the file size limit";
  else if (errorNumber == EISDIR)
    remedy = "; give the name of a file";
  return error(errorCode_, "cannot {} '{}' after {} bytes: {}{}; {}", what,
               target_, size_, std::strerror(errorNumber), remedy,
               begun_ ? "a part of them may have arrived"
                      : "no file was changed");
}

Status OutputFile::write(std::string_view bytes) {
  if (fd_ < 0)
    return fail("write", EBADF);
  buffer_.append(bytes);
  size_ += bytes.size();
  return buffer_.size() >= kBufferBytes ? flush() : Status();
}

Status OutputFile::flush() {
  int reason = writeAll(fd_, buffer_);
  buffer_.clear();
  if (reason == 0)
    return Status();
  Status status = fail("write", reason);
  discard();
  return status;
}

Status OutputFile::writeAt(uint64_t offset, std::string_view bytes) {
  if (fd_ < 0)
    return fail("write", EBADF);
  if (offset > size_ || bytes.size() > size_ - offset)
    return error(5014, "writeAt({}, {} bytes) is beyond the {} bytes of '{}'",
                 offset, bytes.size(), size_, target_);
  HADAL_RETURN_IF_ERROR(flush());
  if (int reason = writeAll(fd_, bytes, static_cast<int64_t>(offset))) {
    Status status = fail("write", reason);
    discard();
    return status;
  }
  return Status();
}

Status OutputFile::commit() {
  if (fd_ < 0)
    return fail("write", EBADF);
  HADAL_RETURN_IF_ERROR(flush());
  if (stream_ >= 0)
    return copyToStream();
  // Without the fsync a crash can leave the new name with old (no) data.
  const char *step = nullptr;
  if (::fsync(fd_) != 0)
    step = "flush";
  else if (::close(std::exchange(fd_, -1)) != 0)
    step = "close";
  auto held = CleanUp::lock();
  if (!step && ::rename(temporary_.c_str(), file_.c_str()) != 0)
    step = "rename the temporary file to";
  if (step) {
    Status status = fail(step, errno);
    held.unlock();
    discard();
    return status;
  }
  temporary_.clear();
  cleanUp_.dismiss();
  // Some filesystems refuse to sync a directory; the rename itself is done.
  int directory =
      ::open(directoryOf(file_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return Status();
}

Status OutputFile::copyToStream() {
  std::string piece(kBufferBytes, 0);
  for (uint64_t at = 0; at < size_;) {
    ssize_t n =
        ::pread(fd_, piece.data(), piece.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR)
      continue;
    int reason = n <= 0 ? (n < 0 ? errno : EIO)
                        : writeAll(stream_, std::string_view(piece).substr(
                                                0, static_cast<size_t>(n)));
    begun_ = true;
    if (reason) {
      Status status = fail("write", reason);
      discard();
      return status;
    }
    at += static_cast<uint64_t>(n);
  }
  // Some streams report only here that they did not take it.
  int reason = ::close(std::exchange(stream_, -1)) != 0 ? errno : 0;
  Status status = reason ? fail("close", reason) : Status();
  discard();
  return status;
}

void OutputFile::discard() {
  auto held = CleanUp::lock();
  for (int *fd : {&fd_, &stream_})
    if (*fd >= 0)
      ::close(std::exchange(*fd, -1));
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
  temporary_.clear();
  buffer_.clear();
  cleanUp_.dismiss();
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::swap(OutputFile &other) noexcept {
  std::swap(target_, other.target_);
  std::swap(file_, other.file_);
  std::swap(temporary_, other.temporary_);
  std::swap(buffer_, other.buffer_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  std::swap(stream_, other.stream_);
  std::swap(begun_, other.begun_);
  std::swap(errorCode_, other.errorCode_);
  std::swap(cleanUp_, other.cleanUp_);
}

} // namespace hadal
