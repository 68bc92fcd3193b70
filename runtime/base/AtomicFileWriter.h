// Writes a file so that a reader sees the old one or the whole new one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/Status.h"

namespace hadal {

/// A temporary file beside the target, renamed over it by commit(). Without a
/// commit (an error, an exception, an early return) the temporary file is
/// removed and the target is untouched.
class AtomicFileWriter {
public:
  AtomicFileWriter() = default;
  AtomicFileWriter(AtomicFileWriter &&other) noexcept { swap(other); }
  AtomicFileWriter &operator=(AtomicFileWriter &&other) noexcept {
    AtomicFileWriter(std::move(other)).swap(*this);
    return *this;
  }
  ~AtomicFileWriter();

  /// Creates the temporary file. |errorCode| is the code of every failure of
  /// this writer: 5015 (an output file) or 4006 (an artifact).
  static StatusOr<AtomicFileWriter> create(const std::string &target,
                                           int errorCode = 5015);

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

  /// Flushes, fsyncs, renames over the target and fsyncs its directory.
  Status commit();

private:
  void swap(AtomicFileWriter &other) noexcept;
  Status flush();
  Status fail(const char *what, int errorNumber) const;
  void discard();

  std::string target_, temporary_, buffer_;
  uint64_t size_ = 0;
  int fd_ = -1;
  int errorCode_ = 5015;
};

} // namespace hadal
