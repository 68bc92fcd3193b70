// API keys, of which the file holds digests only.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "runtime/base/Sha256.h"
#include "runtime/base/Status.h"

namespace hadal::serve {

class Keys {
public:
  /// Lines `name:sha256`, the digest of the key as 64 hexadecimal digits; empty
  /// lines and such that begin with # are left out. H5028 names the line.
  static StatusOr<Keys> load(const std::string &path);
  static StatusOr<Keys> parse(std::string_view text, const std::string &path);

  bool empty() const { return digests.empty(); }
  /// The name of the key in an Authorization header "Bearer KEY"; nothing if
  /// there is none of this digest. All are compared, in constant time.
  const std::string *find(std::string_view authorization) const;

private:
  std::map<std::string, Digest256> digests; ///< by name
};

} // namespace hadal::serve
