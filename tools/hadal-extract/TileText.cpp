#include "tools/hadal-extract/TileText.h"

namespace hadal::extract {

std::optional<std::string> findTileKernel(std::string_view module,
                                          std::string_view kernel) {
  const std::string start = "  tile.kernel @" + std::string(kernel) + "(";
  for (size_t at = module.find(start); at != std::string_view::npos;
       at = module.find(start, at + 1)) {
    if (at && module[at - 1] != '\n')
      continue;
    size_t end = module.find("\n  }", at);
    if (end == std::string_view::npos)
      return std::nullopt;
    end = module.find('\n', end + 1);
    return std::string(module.substr(at, end - at)) + "\n";
  }
  return std::nullopt;
}

} // namespace hadal::extract
