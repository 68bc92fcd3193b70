#include "runtime/serve/Keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "runtime/base/MappedFile.h"

namespace hadal::serve {

namespace {

constexpr size_t kDigestBytes = 32;

std::optional<std::string> fromHex(std::string_view hex) {
  if (hex.size() != 2 * kDigestBytes)
    return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    unsigned value = 0;
    for (char c : hex.substr(i, 2)) {
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9')
        value = 16 * value + static_cast<unsigned>(c - '0');
      else if (lower >= 'a' && lower <= 'f')
        value = 16 * value + static_cast<unsigned>(lower - 'a' + 10);
      else
        return std::nullopt;
    }
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

} // namespace

std::string sha256(std::string_view text) {
  std::string digest(kDigestBytes, '\0');
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(),
             reinterpret_cast<unsigned char *>(digest.data()), &size,
             EVP_sha256(), nullptr);
  return digest;
}

StatusOr<Keys> Keys::load(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  return parse({reinterpret_cast<const char *>(file.data()), file.size()},
               path);
}

StatusOr<Keys> Keys::parse(std::string_view text, const std::string &path) {
  Keys keys;
  unsigned number = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++number;
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.empty() || line.starts_with('#'))
      continue;
    const size_t colon = line.rfind(':');
    auto digest = colon == std::string_view::npos
                      ? std::nullopt
                      : fromHex(line.substr(colon + 1));
    if (!digest || !colon)
      return error(5028,
                   "line {} of '{}' is no 'name:sha256'; `printf %s KEY | "
                   "sha256sum` gives the 64 digits",
                   number, path);
    if (!keys.digests.emplace(line.substr(0, colon), *digest).second)
      return error(5028, "line {} of '{}' names '{}' a second time", number,
                   path, line.substr(0, colon));
  }
  if (keys.empty())
    return error(5028, "'{}' has no key; leave --api-key-file out to serve "
                       "without keys",
                 path);
  return keys;
}

const std::string *Keys::find(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme))
    return nullptr;
  const std::string digest = sha256(authorization.substr(kScheme.size()));
  const std::string *found = nullptr;
  for (const auto &[name, known] : digests)
    if (CRYPTO_memcmp(known.data(), digest.data(), kDigestBytes) == 0)
      found = &name;
  return found;
}

} // namespace hadal::serve
