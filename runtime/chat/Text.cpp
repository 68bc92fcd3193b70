#include "runtime/chat/Text.h"

#include <algorithm>

#include "runtime/tokenizer/CodePointSet.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::chat {

void Text::append(std::string_view bytes, bool trusted) {
  if (bytes.empty())
    return;
  if (bytes.size() > kMaxTextBytes - bytes_.size())
    fail("a text would be longer than {} bytes", kMaxTextBytes);
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().trusted == trusted)
    runs_.back().end = bytes_.size();
  else
    runs_.push_back({bytes_.size(), trusted});
}

void Text::append(const Text &other, size_t begin, size_t count) {
  const size_t end =
      std::min(other.size(), begin + std::min(count, other.size()));
  auto run = std::upper_bound(
      other.runs_.begin(), other.runs_.end(), begin,
      [](size_t at, const Run &each) { return at < each.end; });
  for (; begin < end; ++run) {
    const size_t stop = std::min(end, run->end);
    append(std::string_view(other.bytes_).substr(begin, stop - begin),
           run->trusted);
    begin = stop;
  }
}

Text Text::substr(size_t begin, size_t count) const {
  Text result;
  result.append(*this, begin, count);
  return result;
}

bool Text::isTrusted() const {
  return runs_.empty() || (runs_.size() == 1 && runs_[0].trusted);
}

size_t Text::length() const {
  return static_cast<size_t>(
      std::count_if(bytes_.begin(), bytes_.end(), [](char byte) {
        return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
      }));
}

size_t Text::offsetOf(size_t index) const {
  size_t at = 0;
  for (; at < bytes_.size(); ++at)
    if ((static_cast<uint8_t>(bytes_[at]) & 0xC0) != 0x80 && index-- == 0)
      break;
  return at;
}

std::vector<TextPiece> Text::pieces() const {
  std::vector<TextPiece> result;
  size_t begin = 0;
  for (const Run &run : runs_) {
    result.push_back({bytes_.substr(begin, run.end - begin), run.trusted});
    begin = run.end;
  }
  return result;
}

bool isSpace(uint32_t codePoint) {
  static const CodePointSet spaces = CodePointSet::space();
  return spaces.contains(codePoint) || (codePoint >= 0x1C && codePoint <= 0x1F);
}

Text strip(const Text &text, bool left, bool right, const Text *chars) {
  std::string_view bytes = text.bytes();
  const auto taken = [&](std::string_view character) {
    return chars ? chars->bytes().find(character) != std::string::npos
                 : isSpace(decodeUtf8(character).codePoint);
  };
  size_t begin = 0, end = bytes.size();
  while (left && begin < end) {
    const size_t size = decodeUtf8(bytes.substr(begin)).bytes;
    if (!taken(bytes.substr(begin, size)))
      break;
    begin += size;
  }
  while (right && begin < end) {
    size_t last = end - 1;
    while ((static_cast<uint8_t>(bytes[last]) & 0xC0) == 0x80)
      --last;
    if (!taken(bytes.substr(last, end - last)))
      break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

} // namespace hadal::chat
