// SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104), for the proof of a job's
// token and for API keys. Not made for secrets against timing, but equal() takes equal time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hadal {

using Digest256 = std::array<uint8_t, 32>;

class Sha256 {
public:
  void update(std::span<const uint8_t> bytes);
  /// The digest of all bytes so far; ends the use of the object.
  Digest256 finish();

private:
  void compress(const uint8_t *block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                    0xa54ff53a, 0x510e527f, 0x9b05688c,
                                    0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_ = {};
  uint64_t length_ = 0; ///< bytes so far
};

Digest256 sha256(std::span<const uint8_t> bytes);
Digest256 hmacSha256(std::span<const uint8_t> key,
                     std::span<const uint8_t> message);

/// 64 hexadecimal digits of either case; nothing for any other text.
std::optional<Digest256> digestFromHex(std::string_view hex);
/// In lower case.
std::string hexOf(const Digest256 &digest);

/// Whether |a| and |b| are equal, in a time that does not depend on them.
bool equal(const Digest256 &a, const Digest256 &b);

} // namespace hadal
