// Builds safetensors files for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace hadal::test {

/// The bytes of a file with this header text and data, whether they fit
/// together or not.
inline std::string safetensorsBytes(const std::string &header,
                                    const std::string &data) {
  uint64_t length = header.size();
  std::string bytes(8, 0);
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

template <typename T> std::string bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()),
          values.size() * sizeof(T)};
}

/// Collects tensors into a well-formed file.
class SafetensorsBuilder {
public:
  SafetensorsBuilder &add(const std::string &name, const std::string &dtype,
                          const std::vector<uint64_t> &shape,
                          const std::string &data) {
    header_ += fmt::format(
        R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
        header_.empty() ? "" : ",", name, dtype, fmt::join(shape, ","),
        data_.size(), data_.size() + data.size());
    data_ += data;
    return *this;
  }
  /// |alignment|: the file offset of the data modulo 8.
  std::string bytes(size_t alignment = 0) const {
    std::string header = "{" + header_ + "}";
    while ((8 + header.size()) % 8 != alignment)
      header += ' ';
    return safetensorsBytes(header, data_);
  }

private:
  std::string header_, data_;
};

} // namespace hadal::test
