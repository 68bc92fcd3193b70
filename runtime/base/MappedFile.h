// A read-only file mapping, and a handler that turns a SIGBUS inside one (the
// file was truncated after it was mapped) into an error that names it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/Status.h"

namespace hadal {

/// A whole regular file mapped read-only and shared. An empty file maps to an
/// empty span. Reading what the file no longer has raises SIGBUS, as in any
/// mapping.
class MappedFile {
public:
  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept { swap(other); }
  MappedFile &operator=(MappedFile &&other) noexcept {
    MappedFile(std::move(other)).swap(*this);
    return *this;
  }
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();

  /// Maps |path|. H5001 if it cannot be opened or mapped, is not a regular
  /// file, or its size is not |expectedBytes| where that is given.
  static StatusOr<MappedFile>
  open(const std::string &path,
       std::optional<uint64_t> expectedBytes = std::nullopt);

  const std::string &path() const { return path_; }
  const uint8_t *data() const { return data_; }
  uint64_t size() const { return size_; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }

  /// Asks the kernel to read [offset, offset + length) ahead; the range is
  /// clipped to the file. Advice only: a refusal is not an error.
  void adviseWillNeed(uint64_t offset, uint64_t length) const;

  /// Bytes of all live mappings of this process made by this class.
  static uint64_t totalMappedBytes();

private:
  void swap(MappedFile &other) noexcept;

  std::string path_;
  const uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  void *guard_ = nullptr; // slot of the SIGBUS registry
};

/// Installs a handler for SIGBUS in this process: a fault inside a MappedFile
/// prints "error H5012: ... its path ..." to stderr, runs the CleanUps and ends
/// the process with exit status 3; one elsewhere goes on to the handler found
/// before. For executables: a library that others embed leaves their handlers
/// and their process alone.
void endProcessAtLostMapping();

} // namespace hadal
