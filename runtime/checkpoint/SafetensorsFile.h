// One safetensors file: header checked in full before any tensor is used.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/MappedFile.h"
#include "runtime/base/Status.h"

namespace hadal {

/// The element types of the safetensors format. Those of less than a byte are
/// packed; their tensors take whole bytes.
enum class SafetensorsDType : uint8_t {
  Bool,
  F4,
  F6E2M3,
  F6E3M2,
  U8,
  I8,
  F8E5M2,
  F8E4M3,
  F8E8M0,
  F8E4M3FNUZ,
  F8E5M2FNUZ,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64
};

/// "BF16", "F8_E4M3": the spelling of the file.
const char *safetensorsDTypeName(SafetensorsDType dtype);

struct SafetensorsTensor {
  SafetensorsDType dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0; // file offset of the data
  uint64_t bytes = 0;
};

/// Accepts exactly: an 8-byte header length N <= 100 MB, N bytes of UTF-8 JSON
/// that start with `{`, without duplicate keys; tensors whose ranges follow
/// each other without hole or overlap from 0 to the end of the file, and whose
/// shape x dtype equals their range. Everything else is H5002 with file,
/// tensor, expected and found.
class SafetensorsFile {
public:
  static constexpr uint64_t kMaxHeaderBytes = 100'000'000;

  static StatusOr<SafetensorsFile> open(const std::string &path);

  const std::string &path() const { return file_.path(); }
  const MappedFile &file() const { return file_; }
  const std::map<std::string, SafetensorsTensor, std::less<>> &tensors() const {
    return tensors_;
  }
  /// nullptr if there is none of that name.
  const SafetensorsTensor *find(std::string_view name) const;
  /// The tensor's bytes in the mapping; any byte alignment.
  std::span<const uint8_t> data(const SafetensorsTensor &tensor) const {
    return file_.bytes().subspan(tensor.begin, tensor.bytes);
  }

private:
  MappedFile file_;
  std::map<std::string, SafetensorsTensor, std::less<>> tensors_;
};

} // namespace hadal
