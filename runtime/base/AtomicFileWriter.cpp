#include "runtime/base/AtomicFileWriter.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
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

} // namespace

StatusOr<AtomicFileWriter> AtomicFileWriter::create(const std::string &target,
                                                    int errorCode) {
  AtomicFileWriter writer;
  writer.target_ = target;
  writer.errorCode_ = errorCode;
  struct stat info;
  if (::stat(target.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return writer.fail("open", EISDIR);
  writer.temporary_ = target + ".tmp-XXXXXX";
  writer.fd_ = ::mkostemp(writer.temporary_.data(), O_CLOEXEC);
  if (writer.fd_ < 0) {
    int reason = errno;
    writer.temporary_.clear();
    return writer.fail("create a temporary file beside", reason);
  }
  if (::fchmod(writer.fd_, defaultMode()) != 0)
    return writer.fail("set the permissions of", errno);
  return writer;
}

Status AtomicFileWriter::fail(const char *what, int errorNumber) const {
  const char *remedy = "";
  if (errorNumber == ENOSPC || errorNumber == EDQUOT)
    remedy = "; free some space or write elsewhere";
  else if (errorNumber == EFBIG)
    remedy = "; raise the file size limit";
  return error(errorCode_,
               "cannot {} '{}' after {} bytes: {}{}; no file was changed", what,
               target_, size_, std::strerror(errorNumber), remedy);
}

Status AtomicFileWriter::write(std::string_view bytes) {
  if (fd_ < 0)
    return fail("write", EBADF);
  buffer_.append(bytes);
  size_ += bytes.size();
  return buffer_.size() >= kBufferBytes ? flush() : Status();
}

Status AtomicFileWriter::flush() {
  int reason = writeAll(fd_, buffer_);
  buffer_.clear();
  if (reason == 0)
    return Status();
  Status status = fail("write", reason);
  discard();
  return status;
}

Status AtomicFileWriter::writeAt(uint64_t offset, std::string_view bytes) {
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

Status AtomicFileWriter::commit() {
  if (fd_ < 0)
    return fail("write", EBADF);
  HADAL_RETURN_IF_ERROR(flush());
  // Without the fsync a crash can leave the new name with old (no) data.
  const char *step = nullptr;
  if (::fsync(fd_) != 0)
    step = "flush";
  else if (::close(std::exchange(fd_, -1)) != 0)
    step = "close";
  else if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    step = "rename the temporary file to";
  if (step) {
    Status status = fail(step, errno);
    discard();
    return status;
  }
  temporary_.clear();
  // Some filesystems refuse to sync a directory; the rename itself is done.
  int directory =
      ::open(directoryOf(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return Status();
}

void AtomicFileWriter::discard() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
  temporary_.clear();
  buffer_.clear();
}

AtomicFileWriter::~AtomicFileWriter() { discard(); }

void AtomicFileWriter::swap(AtomicFileWriter &other) noexcept {
  std::swap(target_, other.target_);
  std::swap(temporary_, other.temporary_);
  std::swap(buffer_, other.buffer_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  std::swap(errorCode_, other.errorCode_);
}

} // namespace hadal
