// The page that a browser gets at /: a chat with the model. Its files are
// embedded; it loads nothing from elsewhere.
#pragma once

#include <span>
#include <string_view>

namespace hadal::serve {

struct PageFile {
  std::string_view path; ///< of the request: "/", "/page.css"
  std::string_view type; ///< Content-Type
  std::string_view body;
};

/// All files of the page. They hold nothing secret and are given without a key:
/// a browser can send none with them, the page asks for it.
std::span<const PageFile> pageFiles();

/// To be sent with each: Content-Security-Policy. Script, style and connections
/// of the server itself, nothing else; so no text of a model can load, run or
/// send anything even if it became markup.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

} // namespace hadal::serve
