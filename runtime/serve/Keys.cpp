#include "runtime/serve/Keys.h"

#include "runtime/base/MappedFile.h"

namespace hadal::serve {

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
                      : digestFromHex(line.substr(colon + 1));
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
  const std::string_view key = authorization.substr(kScheme.size());
  const Digest256 digest =
      sha256({reinterpret_cast<const uint8_t *>(key.data()), key.size()});
  const std::string *found = nullptr;
  for (const auto &[name, known] : digests)
    if (equal(known, digest))
      found = &name;
  return found;
}

} // namespace hadal::serve
