// A string of the template language: UTF-8 whose every byte has an origin.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "runtime/base/TextPiece.h"

namespace hadal::chat {

/// Ends a rendering; the message becomes H5026. Never leaves runtime/chat.
struct RenderError {
  std::string message;
};

template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args &&...args) {
  throw RenderError{fmt::format(format, std::forward<Args>(args)...)};
}

/// Of any string, and of what a template writes.
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

/// Bytes, and runs of equal origin. All operations keep the origin of each
/// byte; equality is of the bytes alone.
class Text {
public:
  Text() = default;
  Text(std::string_view bytes, bool trusted) { append(bytes, trusted); }

  /// RenderError beyond kMaxTextBytes.
  void append(std::string_view bytes, bool trusted);
  void append(const Text &other) { append(other, 0, other.size()); }
  /// Appends |count| bytes of |other| from |begin| on.
  void append(const Text &other, size_t begin, size_t count);

  Text substr(size_t begin, size_t count = std::string::npos) const;
  /// Whether all of it is trusted; the empty text is.
  bool isTrusted() const;

  const std::string &bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  /// In code points.
  size_t length() const;
  /// The byte at which code point |index| begins; size() beyond the last.
  size_t offsetOf(size_t index) const;

  std::vector<TextPiece> pieces() const;

  bool operator==(const Text &other) const { return bytes_ == other.bytes_; }

private:
  struct Run {
    size_t end; // in bytes
    bool trusted;
  };
  std::string bytes_;
  std::vector<Run> runs_;
};

/// What Python's str.strip() takes: |text| without the characters of |chars| at
/// its ends, or without white space.
Text strip(const Text &text, bool left, bool right,
           const Text *chars = nullptr);

/// What Python's str.isspace() says of a character.
bool isSpace(uint32_t codePoint);

} // namespace hadal::chat
