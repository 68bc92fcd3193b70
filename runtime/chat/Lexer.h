// Cuts the source of a template into text and tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::chat {

struct Position {
  unsigned line = 1, column = 1; // column in code points
};

struct Token {
  enum Kind : uint8_t {
    Data, // text between tags
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    String, // without quotes, unescaped
    Integer,
    Float,
    Operator,
    End,
  } kind = End;
  std::string text;
  Position position;
};

/// Thrown while a template is read; becomes H5025.
struct SyntaxError {
  Position position;
  std::string message;
};

/// |source| is valid UTF-8. White space around tags is gone as jinja2's
/// trim_blocks, lstrip_blocks, `-` and `+` say; the last token is End. Throws
/// SyntaxError.
std::vector<Token> tokenize(std::string_view source);

} // namespace hadal::chat
