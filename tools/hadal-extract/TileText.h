// The text of a kernel in a dump of the compiler.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hadal::extract {

/// The `tile.kernel @kernel` of |module|, a module as hadal-compile
/// --dump-phases-to prints it: from its first line to the brace that ends it,
/// of equal indentation. Nothing if it has none.
std::optional<std::string> findTileKernel(std::string_view module,
                                          std::string_view kernel);

} // namespace hadal::extract
