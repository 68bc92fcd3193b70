#include "runtime/tokenizer/Tiktoken.h"

#include <array>
#include <charconv>

#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace {

/// Of more tokens than this the table of merges would take gigabytes.
constexpr size_t kMaxTokens = size_t{1} << 22;
/// Of a token; each of its cuts is looked up.
constexpr size_t kMaxTokenBytes = 1024;

constexpr size_t kMostCharacters = 400'000;
constexpr size_t kMostOfOneKind = 25'000;

/// Runs of Han; words with what stands before them and a contraction behind, by
/// case; numbers of three digits; the rest.
constexpr std::string_view kPattern =
    R"([\p{Han}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// -1 for a character that is none of the alphabet's.
int valueOf(char c) {
  return c >= 'A' && c <= 'Z'   ? c - 'A'
         : c >= 'a' && c <= 'z' ? c - 'a' + 26
         : c >= '0' && c <= '9' ? c - '0' + 52
         : c == '+'             ? 62
         : c == '/'             ? 63
                                : -1;
}

/// The bytes of |text|, which is padded to fours; nothing if it is malformed.
std::optional<std::string> fromBase64(std::string_view text) {
  std::string bytes;
  if (text.empty() || text.size() % 4)
    return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  for (size_t at = 0; at < text.size(); at += 4) {
    const size_t digits = at + 4 == text.size() ? 4 - padding : 4;
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) {
      const int value = i < digits ? valueOf(text[at + i]) : 0;
      if (value < 0)
        return std::nullopt;
      bits = bits << 6 | static_cast<uint32_t>(value);
    }
    // What is left of the last digit is zero: else two spellings are one token.
    if (bits & ((1u << (8 * (4 - digits))) - 1))
      return std::nullopt;
    for (size_t i = 0; i + 1 < digits; ++i)
      bytes += static_cast<char>(bits >> (16 - 8 * i));
  }
  return bytes;
}

/// As byte-level files spell it.
std::string spell(std::string_view bytes) {
  std::string spelling;
  for (char byte : bytes)
    appendUtf8(spelling, byteLevelCharacter(static_cast<uint8_t>(byte)));
  return spelling;
}

Status readRanks(std::string_view text, TokenizerModel &model) {
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
    ++number;
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.empty())
      continue;
    const size_t space = line.find(' ');
    std::optional<std::string> bytes = fromBase64(line.substr(0, space));
    const std::string_view rankText =
        space == std::string_view::npos ? "" : line.substr(space + 1);
    size_t rank = 0;
    auto [at, failure] = std::from_chars(
        rankText.data(), rankText.data() + rankText.size(), rank);
    if (!bytes || bytes->size() > kMaxTokenBytes || rankText.empty() ||
        failure != std::errc() || at != rankText.data() + rankText.size() ||
        rank >= kMaxTokens)
      return error(5009,
                   "line {}: expected the base64 of at most {} bytes, a space "
                   "and a rank below {}, found '{}'",
                   number, kMaxTokenBytes, kMaxTokens,
                   spell(line.substr(0, 60)));
    if (model.tokens.size() <= rank)
      model.tokens.resize(rank + 1);
    TokenizerModel::Token &token = model.tokens[rank];
    if (token.exists)
      return error(5009, "line {}: rank {} is that of an earlier line", number,
                   rank);
    auto [known, isNew] =
        model.wholeWords.emplace(*bytes, static_cast<int32_t>(rank));
    if (!isNew)
      return error(5009, "line {}: the token of rank {} has rank {} already",
                   number, rank, known->second);
    model.idBySpelling.emplace(spell(*bytes), static_cast<int32_t>(rank));
    token.exists = true;
    token.bytes = std::move(*bytes);
  }
  for (size_t rank = 0; rank < model.tokens.size(); ++rank)
    if (!model.tokens[rank].exists)
      return error(5009,
                   "no token has rank {}, one has {}; the file is not whole, "
                   "copy it again",
                   rank, model.tokens.size() - 1);
  return {};
}

} // namespace

Status parseTiktoken(std::string_view text, TokenizerModel &model) {
  HADAL_RETURN_IF_ERROR(readRanks(text, model));
  model.isTiktoken = true;
  model.numRanks = model.tokens.size();
  std::array<int32_t, 256> byteIds;
  for (int byte = 0; byte < 256; ++byte) {
    auto id = model.wholeWords.find(std::string(1, static_cast<char>(byte)));
    if (id == model.wholeWords.end())
      return error(5009, "there is no token for byte {:#04x}", byte);
    byteIds[static_cast<size_t>(byte)] = id->second;
  }
  // Two neighbours are merged where they make a token, that of the lowest rank
  // first: every cut of a token into two is a merge of its rank.
  model.encoder = BytePairEncoder(byteIds, 4 * model.numRanks);
  for (size_t rank = 0; rank < model.numRanks; ++rank) {
    const std::string &bytes = model.tokens[rank].bytes;
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      auto left = model.wholeWords.find(bytes.substr(0, cut));
      auto right = model.wholeWords.find(bytes.substr(cut));
      if (left != model.wholeWords.end() && right != model.wholeWords.end())
        model.encoder.addMerge(left->second, right->second,
                               static_cast<int32_t>(rank),
                               static_cast<uint32_t>(rank));
    }
  }
  HADAL_ASSIGN_OR_RETURN(SplitRegex regex, SplitRegex::compile(kPattern));
  std::vector<SplitStep> steps;
  steps.push_back({std::move(regex)});
  model.preTokenizer = PreTokenizer(std::move(steps));
  return {};
}

void cutLongText(std::string_view text,
                 const std::function<void(size_t, size_t)> &emit) {
  // As Python's str.isspace: the separators of ASCII are white space too.
  static const CodePointSet spaces = [] {
    CodePointSet set = CodePointSet::space();
    set.add({0x1C, 0x1F});
    set.buildTable();
    return set;
  }();
  size_t begin = 0, characters = 0, run = 0;
  bool wasSpace = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Character c = decodeUtf8(text.substr(at));
    const bool isSpace = spaces.contains(c.codePoint);
    const bool isFull = characters == kMostCharacters;
    run = isFull || isSpace != wasSpace ? 1 : run + 1;
    if (isFull || run > kMostOfOneKind) {
      emit(begin, at);
      begin = at;
      run = 1;
    }
    characters = isFull ? 1 : characters + 1;
    wasSpace = isSpace;
    at += c.bytes;
  }
  if (begin < text.size())
    emit(begin, text.size());
}

} // namespace hadal
