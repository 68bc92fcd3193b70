// A read-only file mapping, and the handler that turns a SIGBUS inside one
// (the file was truncated after it was mapped) into an error that names it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/Status.h"

namespace hadal {

/// A whole regular file mapped read-only and shared. An empty file maps to an
/// empty span. The first mapping of the process installs the SIGBUS handler;
/// a SIGBUS outside every mapping goes on to the handler found before it.
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

/// Puts [begin, begin + bytes) under the SIGBUS handler: a fault inside it
/// prints "error H5012: ... |path| ..." to stderr and ends the process with
/// exit status 3. Returns the slot for unguardMapping. MappedFile does this
/// itself; others that map a file (code images) call it.
void *guardMapping(const void *begin, uint64_t bytes, const std::string &path);
void unguardMapping(void *slot);

} // namespace hadal
