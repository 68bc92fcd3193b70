#include "runtime/comm/control/Token.h"

#include <cerrno>
#include <vector>

#include <sys/random.h>

namespace hadal::comm {

StatusOr<Token> parseToken(std::string_view hex) {
  std::optional<Token> token = digestFromHex(hex);
  if (!token)
    return error(5011,
                 "the job's token is not usable: expected 64 hexadecimal "
                 "digits, found {} characters; set HADAL_JOB_TOKEN to the "
                 "same 64 random digits on all ranks",
                 hex.size());
  return *token;
}

StatusOr<Nonce> randomNonce() {
  Nonce nonce;
  for (size_t at = 0; at < nonce.size();) {
    ssize_t n = ::getrandom(nonce.data() + at, nonce.size() - at, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return error(5014, "getrandom: {}", std::strerror(errno));
    at += static_cast<size_t>(n);
  }
  return nonce;
}

Digest256 prove(Side side, const Token &token, const Nonce &hubNonce,
                const Nonce &spokeNonce, uint32_t rank, uint32_t ranks,
                const Identity &identity) {
  std::vector<uint8_t> message = {static_cast<uint8_t>(side)};
  auto add = [&](const void *bytes, size_t n) {
    auto *at = static_cast<const uint8_t *>(bytes);
    message.insert(message.end(), at, at + n);
  };
  add(hubNonce.data(), hubNonce.size());
  add(spokeNonce.data(), spokeNonce.size());
  add(&rank, sizeof(rank));
  add(&ranks, sizeof(ranks));
  add(identity.host, sizeof(identity.host));
  add(&identity.pid, sizeof(identity.pid));
  return hmacSha256(token, message);
}

} // namespace hadal::comm
