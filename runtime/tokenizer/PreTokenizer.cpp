#include "runtime/tokenizer/PreTokenizer.h"

#include <algorithm>
#include <string>

#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace {

/// A range of characters.
struct Piece {
  size_t begin, end;
};

/// Text as code points, with the byte at which each begins.
struct Characters {
  std::string_view bytes;
  std::vector<uint32_t> codePoints;
  std::vector<size_t> offsets; // one more: the end

  void assign(std::string_view text) {
    bytes = text;
    codePoints.clear();
    offsets.clear();
    for (size_t at = 0; at < text.size();) {
      Utf8Character c = decodeUtf8(text.substr(at));
      codePoints.push_back(c.codePoint);
      offsets.push_back(at);
      at += c.bytes;
    }
    offsets.push_back(text.size());
  }
  std::string_view textOf(Piece piece) const {
    return bytes.substr(offsets[piece.begin],
                        offsets[piece.end] - offsets[piece.begin]);
  }
};

/// Matches, and what lies between them, in order.
struct Part {
  Piece piece;
  bool isMatch;
};

void findParts(SplitMatcher &matcher, std::span<const uint32_t> text,
               size_t offset, bool invert, std::vector<Part> &parts) {
  parts.clear();
  matcher.reset(text);
  auto add = [&](size_t begin, size_t end, bool isMatch) {
    if (begin < end)
      parts.push_back({{offset + begin, offset + end}, isMatch != invert});
  };
  for (size_t at = 0; at < text.size();) {
    SplitMatcher::Match match = matcher.find(at);
    add(at, match.begin, false);
    add(match.begin, match.end, true);
    at = match.end;
  }
}

/// Appends the pieces that |behavior| makes of |parts|.
void join(const std::vector<Part> &parts, SplitStep::Behavior behavior,
          std::vector<Piece> &pieces) {
  using Behavior = SplitStep::Behavior;
  const size_t first = pieces.size();
  if (behavior == Behavior::MergedWithNext) {
    bool previous = false;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (part->isMatch && !previous && pieces.size() > first)
        pieces.back().begin = part->piece.begin;
      else
        pieces.push_back(part->piece);
      previous = part->isMatch;
    }
    std::reverse(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end());
    return;
  }
  bool previous = false;
  for (const Part &part : parts) {
    bool extends = false;
    switch (behavior) {
    case Behavior::Removed:
      if (!part.isMatch)
        pieces.push_back(part.piece);
      continue;
    case Behavior::Contiguous:
      extends = part.isMatch == previous;
      break;
    case Behavior::MergedWithPrevious:
      extends = part.isMatch && !previous;
      break;
    case Behavior::Isolated:
    case Behavior::MergedWithNext:
      break;
    }
    if (extends && pieces.size() > first)
      pieces.back().end = part.piece.end;
    else
      pieces.push_back(part.piece);
    previous = part.isMatch;
  }
}

} // namespace

void PreTokenizer::split(
    std::string_view text,
    const std::function<void(std::string_view)> &emit) const {
  Characters characters;
  characters.assign(text);
  std::vector<Piece> pieces = {{0, characters.codePoints.size()}}, next;
  std::vector<Part> parts;
  for (const SplitStep &step : steps_) {
    SplitMatcher matcher(step.regex);
    next.clear();
    for (Piece piece : pieces) {
      findParts(matcher,
                std::span(characters.codePoints)
                    .subspan(piece.begin, piece.end - piece.begin),
                piece.begin, step.invert, parts);
      join(parts, step.behavior, next);
    }
    pieces.swap(next);
  }

  std::optional<SplitMatcher> matcher;
  if (last_.regex)
    matcher.emplace(*last_.regex);
  Characters prefixed;
  std::string withSpace;
  for (Piece piece : pieces) {
    if (piece.begin == piece.end)
      continue;
    const Characters *source = &characters;
    if (last_.addPrefixSpace && characters.codePoints[piece.begin] != ' ') {
      withSpace = " ";
      withSpace += characters.textOf(piece);
      prefixed.assign(withSpace);
      source = &prefixed;
      piece = {0, prefixed.codePoints.size()};
    }
    if (!matcher) {
      emit(source->textOf(piece));
      continue;
    }
    findParts(*matcher,
              std::span(source->codePoints)
                  .subspan(piece.begin, piece.end - piece.begin),
              piece.begin, /*invert=*/false, parts);
    for (const Part &part : parts)
      emit(source->textOf(part.piece));
  }
}

} // namespace hadal
