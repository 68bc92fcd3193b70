// Numbers, strings and lists to the bytes of a cache entry and back. A type has
// one template that visits its fields with either coder, so that the two ways
// cannot disagree.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "llvm/ADT/StringRef.h"

namespace hadal {

/// Writes fields: numbers as 8 bytes, strings and lists with their size first.
struct CacheEncoder {
  std::string bytes;

  void number(uint64_t value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
  }
  template <typename T> void field(const T &value) {
    number(static_cast<uint64_t>(value));
  }
  void field(const std::string &text) {
    number(text.size());
    bytes += text;
  }
  template <typename List, typename F> void list(List &values, F visit) {
    number(values.size());
    for (auto &value : values)
      visit(value);
  }
};

/// Reads them. |valid| is false after a field that the bytes do not hold.
struct CacheDecoder {
  llvm::StringRef bytes;
  bool valid = true;

  uint64_t number() {
    uint64_t value = 0;
    if (bytes.size() < sizeof(value)) {
      valid = false;
      return 0;
    }
    std::memcpy(&value, bytes.data(), sizeof(value));
    bytes = bytes.drop_front(sizeof(value));
    return value;
  }
  template <typename T> void field(T &value) {
    value = static_cast<T>(number());
  }
  void field(std::string &text) {
    uint64_t size = number();
    if (size > bytes.size()) {
      valid = false;
      return;
    }
    text = bytes.take_front(size).str();
    bytes = bytes.drop_front(size);
  }
  template <typename List, typename F> void list(List &values, F visit) {
    uint64_t count = number();
    // Every element has 8 bytes at least.
    if (count > bytes.size() / 8) {
      valid = false;
      return;
    }
    values.resize(count);
    for (auto &value : values)
      visit(value);
  }
  /// Everything was read, and nothing was missing.
  bool finished() const { return valid && bytes.empty(); }
};

} // namespace hadal
