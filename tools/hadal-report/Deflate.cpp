#include "tools/hadal-report/Deflate.h"

#include <array>
#include <zlib.h>

namespace hadal::report {

namespace {

constexpr int kCode = 5023;
/// No header and no checksum: the stream of DecompressionStream('deflate-raw').
constexpr int kRaw = -15;
constexpr char kDigits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

} // namespace

std::string deflate(std::string_view bytes) {
  z_stream stream = {};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kRaw, 9,
               Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

StatusOr<std::string> inflate(std::string_view bytes, uint64_t limit,
                              const std::string &what) {
  z_stream stream = {};
  inflateInit2(&stream, kRaw);
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  std::array<char, 1 << 16> piece;
  int result = Z_OK;
  while (result == Z_OK && out.size() <= limit) {
    stream.next_out = reinterpret_cast<Bytef *>(piece.data());
    stream.avail_out = piece.size();
    result = ::inflate(&stream, Z_NO_FLUSH);
    out.append(piece.data(), piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (result != Z_STREAM_END || out.size() > limit)
    return error(kCode, "{}: is damaged or inflates to more than {} bytes",
                 what, limit);
  return out;
}

std::string toBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 |
              (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      text += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

StatusOr<std::string> fromBase64(std::string_view text,
                                 const std::string &what) {
  while (text.ends_with('='))
    text.remove_suffix(1);
  std::string bytes;
  uint32_t group = 0;
  unsigned bits = 0;
  for (char digit : text) {
    const size_t value = std::string_view(kDigits).find(digit);
    if (value == std::string_view::npos)
      return error(kCode, "{}: holds a character that is not of base64", what);
    group = group << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(group >> bits & 255);
    }
  }
  return bytes;
}

} // namespace hadal::report
