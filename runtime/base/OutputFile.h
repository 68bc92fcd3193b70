// Writes a result to where the user asked for it, whole or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/Interrupt.h"
#include "runtime/base/Status.h"

namespace hadal {

/// What the user names decides how it is written; nothing of it changes before
/// commit(), and nothing is left behind without one (an error, an exception, an
/// interrupt).
///
/// - A regular file, or nothing yet: a temporary file beside it is renamed over
///   it, so that a reader sees the old file or the whole new one. It keeps its
///   mode, and its owner where that may be given away. A file that may not be
///   written to is refused though its directory would let it be replaced.
/// - A symbolic link: what it leads to; the link stays.
/// - A pipe, a terminal, a device, an open descriptor (/dev/stdout, /dev/fd/N):
///   is written to, all at once at commit(), and never replaced.
/// - A directory: refused.
class OutputFile {
public:
  OutputFile() = default;
  OutputFile(OutputFile &&other) noexcept { swap(other); }
  OutputFile &operator=(OutputFile &&other) noexcept {
    OutputFile(std::move(other)).swap(*this);
    return *this;
  }
  ~OutputFile();

  /// Prepares to write |target|; waits for a reader where that is a named pipe.
  /// |errorCode| is the code of every failure of this writer: 5015 (an output
  /// file) or 4006 (an artifact).
  static StatusOr<OutputFile> create(const std::string &target,
                                     int errorCode = 5015);
  /// True if |target| is written to where it stands: beside it no other file
  /// has its place.
  static bool isStream(const std::string &target);

  /// Appends |bytes|.
  Status write(std::string_view bytes);
  Status write(const void *data, size_t bytes) {
    return write({static_cast<const char *>(data), bytes});
  }
  /// Overwrites |bytes| at |offset|, inside what was written before (headers
  /// whose content is known last).
  Status writeAt(uint64_t offset, std::string_view bytes);

  /// Bytes appended so far.
  uint64_t size() const { return size_; }

  /// Flushes, fsyncs, renames over the target and fsyncs its directory; or
  /// copies to the stream.
  Status commit();

private:
  void swap(OutputFile &other) noexcept;
  Status createTemporary();
  Status flush();
  Status copyToStream();
  Status fail(const char *what, int errorNumber) const;
  void discard();

  // As the user wrote it; behind its links.
  std::string target_, file_;
  std::string temporary_, buffer_;
  uint64_t size_ = 0;
  int fd_ = -1;
  int stream_ = -1;    // of a target that is not replaced
  bool begun_ = false; // something has reached the stream
  int errorCode_ = 5015;
  CleanUp cleanUp_;
};

} // namespace hadal
