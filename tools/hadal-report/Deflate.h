// Raw deflate and base64: what a browser inflates without a library.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/Status.h"

namespace hadal::report {

/// |bytes| as raw deflate (RFC 1951), a function of the bytes alone.
std::string deflate(std::string_view bytes);
/// The inverse, of at most |limit| bytes. H5023 names |what| if it is damaged
/// or larger.
StatusOr<std::string> inflate(std::string_view bytes, uint64_t limit,
                              const std::string &what);

std::string toBase64(std::string_view bytes);
/// H5023 names |what| if |text| is no base64.
StatusOr<std::string> fromBase64(std::string_view text,
                                 const std::string &what);

} // namespace hadal::report
