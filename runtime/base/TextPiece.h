// Text with its origin: what a template wrote, or what came from outside.
#pragma once

#include <string>

namespace hadal {

/// A part of a text. Only in trusted parts may the spelling of an added
/// (control) token become that token: a user who writes one writes plain text.
struct TextPiece {
  std::string text;
  bool trusted = false;

  bool operator==(const TextPiece &) const = default;
};

} // namespace hadal
