#include "tools/hadal-serve/page/Page.h"

#include <array>
#include <cstddef>

namespace hadal::serve {

/// In the order of CMakeLists.txt, where the build makes them.
extern const std::string_view pageText[];
extern const size_t numPageTextFiles;

std::span<const PageFile> pageFiles() {
  static const std::array<PageFile, 4> files = {{
      {"/", "text/html; charset=utf-8", pageText[0]},
      {"/page.css", "text/css; charset=utf-8", pageText[1]},
      {"/chat.mjs", "text/javascript; charset=utf-8", pageText[2]},
      {"/page.mjs", "text/javascript; charset=utf-8", pageText[3]},
  }};
  return files;
}

} // namespace hadal::serve
