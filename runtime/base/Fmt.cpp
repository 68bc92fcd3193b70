// The definitions of fmt that are no templates, compiled once. Header-only they
// would be instantiated in every file (40 % of the runtime's build), and
// Debian's libfmt is a shared library, which binaries for any machine cannot
// need.
#define FMT_HEADER_ONLY 1
#include <fmt/format.h>

namespace hadal {

/// Taking an address emits the inline definition that it names; other objects
/// hold undefined references to it.
struct FmtDefinitions {
  std::string (*vformat)(fmt::string_view, fmt::format_args) = &fmt::vformat;
  void (*vprint)(fmt::string_view, fmt::format_args) = &fmt::vprint;
  void (*vprintFile)(std::FILE *, fmt::string_view,
                     fmt::format_args) = &fmt::vprint;
  void (*assertFail)(const char *, int, const char *) =
      &fmt::detail::assert_fail;
  void (*formatError)(const char *) = &fmt::detail::throw_format_error;
  bool (*isPrintable)(uint32_t) = &fmt::detail::is_printable;
  fmt::detail::thousands_sep_result<char> (*thousands)(
      fmt::detail::locale_ref) = &fmt::detail::thousands_sep_impl<char>;
  char (*decimalPoint)(fmt::detail::locale_ref) =
      &fmt::detail::decimal_point_impl<char>;
};

extern const FmtDefinitions fmtDefinitions; // external: not dropped as unused
const FmtDefinitions fmtDefinitions;

} // namespace hadal
