#include "runtime/tokenizer/Tokenizer.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <iterator>

#include "runtime/base/MappedFile.h"
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/Tiktoken.h"
#include "runtime/tokenizer/TokenizerModel.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace fs = std::filesystem;

namespace {

/// Moves the complete characters of |pending| to |text|, malformed bytes as
/// U+FFFD. A character that is incomplete at the end stays, unless |isLast|.
void takeCharacters(std::string &pending, std::string &text, bool isLast) {
  std::string_view rest = pending;
  while (!rest.empty()) {
    Utf8Character character = decodeUtf8(rest);
    if (character.state == Utf8Character::Incomplete && !isLast)
      break;
    text += character.state == Utf8Character::Valid
                ? rest.substr(0, character.bytes)
                : kReplacement;
    rest.remove_prefix(character.bytes);
  }
  pending.erase(0, pending.size() - rest.size());
}

/// Bytes of a text.
struct ByteRange {
  size_t begin, end;
};

/// A part of the text: ordinary text, or the added token |id|.
struct Segment {
  std::string_view text;
  int32_t id = -1;
  /// Where in it added tokens may stand: ascending, not adjacent.
  std::vector<ByteRange> trusted;

  Segment part(size_t begin, size_t end) const {
    Segment result{text.substr(begin, end - begin), -1, {}};
    for (const ByteRange &range : trusted)
      if (range.begin < end && range.end > begin)
        result.trusted.push_back({std::max(range.begin, begin) - begin,
                                  std::min(range.end, end) - begin});
    return result;
  }
};

/// Whether a character of |words| begins or ends |text|.
bool beginsWith(std::string_view text, const CodePointSet &set) {
  return !text.empty() && set.contains(decodeUtf8(text).codePoint);
}
bool endsWith(std::string_view text, const CodePointSet &set) {
  size_t at = text.size();
  while (at > 0 && (static_cast<uint8_t>(text[--at]) & 0xC0) == 0x80)
    ;
  return beginsWith(text.substr(at), set);
}

/// Cuts |segment| at the tokens of |matcher|, in the reference's way: a token
/// that does not count where it stands is passed over whole, and white space
/// that one token took is no longer there for the next.
void cutAtTokens(const TokenizerModel &model, const AddedTokenMatcher &matcher,
                 const Segment &segment, AddedTokens policy,
                 std::vector<Segment> &segments) {
  static const CodePointSet spaces = CodePointSet::space();
  static const CodePointSet words = [] {
    CodePointSet set = CodePointSet::word();
    set.add({0x200C, 0x200D});
    return set;
  }();
  const std::string_view text = segment.text;
  size_t done = 0;
  for (const ByteRange &range : segment.trusted)
    for (size_t at = std::max(range.begin, done); at < range.end;) {
      AddedTokenMatcher::Match match =
          matcher.find(text.substr(0, range.end), at);
      at = match.end;
      if (match.id < 0)
        break;
      const TokenizerModel::Token &token = model.tokens[match.id];
      if (policy == AddedTokens::NonSpecial && token.special)
        continue;
      if (token.singleWord && (endsWith(text.substr(0, match.begin), words) ||
                               beginsWith(text.substr(match.end), words)))
        continue;
      if (token.stripsLeft)
        while (match.begin > 0 && endsWith(text.substr(0, match.begin), spaces))
          do
            --match.begin;
          while ((static_cast<uint8_t>(text[match.begin]) & 0xC0) == 0x80);
      match.begin = std::max(match.begin, std::min(done, match.end));
      if (token.stripsRight)
        while (beginsWith(text.substr(match.end), spaces))
          match.end += decodeUtf8(text.substr(match.end)).bytes;
      if (done < match.begin)
        segments.push_back(segment.part(done, match.begin));
      segments.push_back(
          {text.substr(match.begin, match.end - match.begin), match.id, {}});
      done = match.end;
    }
  if (done < text.size())
    segments.push_back(segment.part(done, text.size()));
}

/// |segment| in form C. Parts of different origin are not composed with each
/// other, so that their boundary remains.
Segment normalize(const Segment &segment, std::deque<std::string> &storage) {
  std::string text;
  Segment result;
  size_t done = 0;
  const auto take = [&](size_t end) {
    text += normalizeNfc(segment.text.substr(done, end - done));
    done = end;
  };
  for (const ByteRange &range : segment.trusted) {
    take(range.begin);
    const size_t begin = text.size();
    take(range.end);
    result.trusted.push_back({begin, text.size()});
  }
  take(segment.text.size());
  result.text = storage.emplace_back(std::move(text));
  return result;
}

/// |whole| cut at the added tokens that |policy| lets it produce, and normalised
/// between them. What is not a part of its text lies in |storage|.
std::vector<Segment> segmentsOf(const TokenizerModel &model,
                                const Segment &whole, AddedTokens policy,
                                std::deque<std::string> &storage) {
  std::vector<Segment> segments = {whole}, next;
  // Those that are not `normalized` are looked for in the text as it is.
  for (bool normalized : {false, true}) {
    if (normalized && model.normalizes)
      for (Segment &segment : segments)
        if (segment.id < 0)
          segment = normalize(segment, storage);
    if (policy == AddedTokens::None)
      continue;
    next.clear();
    for (const Segment &segment : segments)
      if (segment.id >= 0)
        next.push_back(segment);
      else
        cutAtTokens(model, model.added[normalized], segment, policy, next);
    segments.swap(next);
  }
  return segments;
}

/// The whole of |text|, trusted.
Segment trustedSegment(std::string_view text) {
  return {text, -1, {{0, text.size()}}};
}

std::string_view viewOf(const MappedFile &file) {
  return {reinterpret_cast<const char *>(file.data()),
          static_cast<size_t>(file.size())};
}

} // namespace

Tokenizer::Tokenizer(std::unique_ptr<TokenizerModel> model)
    : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer &&) noexcept = default;
Tokenizer &Tokenizer::operator=(Tokenizer &&) noexcept = default;
Tokenizer::~Tokenizer() = default;

bool Tokenizer::isIn(const std::string &directory) {
  std::error_code failure;
  return fs::exists(fs::path(directory) / "tokenizer.json", failure) ||
         fs::exists(fs::path(directory) / "tiktoken.model", failure);
}

StatusOr<Tokenizer> Tokenizer::load(const std::string &directory) {
  fs::path path(directory);
  std::error_code failure;
  if (!isIn(directory) && fs::exists(path / "tokenizer.model", failure))
    return error(5009,
                 "'{}' has tokenizer.model but neither tokenizer.json nor "
                 "tiktoken.model: SentencePiece vocabularies are not supported; "
                 "convert it to tokenizer.json or give token ids",
                 directory);
  TokenizerFiles files;
  files.name = directory;
  const bool isTiktoken = !fs::exists(path / "tokenizer.json", failure) &&
                          fs::exists(path / "tiktoken.model", failure);
  const char *vocabulary = isTiktoken ? "tiktoken.model" : "tokenizer.json";
  HADAL_ASSIGN_OR_RETURN(MappedFile tokenizer,
                         MappedFile::open((path / vocabulary).string()));
  (isTiktoken ? files.tiktoken : files.tokenizer) = viewOf(tokenizer);
  if (isTiktoken && tokenizer.size() == 0)
    return error(5009, "'{}' is empty: expected a token and its rank a line",
                 tokenizer.path());
  MappedFile others[3];
  std::string_view *views[] = {&files.config, &files.specialMap,
                               &files.addedTokens};
  const char *names[] = {"tokenizer_config.json", "special_tokens_map.json",
                         "added_tokens.json"};
  for (size_t i = 0; i < std::size(names); ++i) {
    if (!fs::exists(path / names[i], failure))
      continue;
    HADAL_ASSIGN_OR_RETURN(others[i],
                           MappedFile::open((path / names[i]).string()));
    if (others[i].size() == 0)
      return error(5009, "'{}' is empty: expected a JSON object",
                   others[i].path());
    *views[i] = viewOf(others[i]);
  }
  for (const char *chat : {"chat_template.jinja", "chat_template.json"})
    files.hasChatTemplate |= fs::exists(path / chat, failure);
  return parse(files);
}

StatusOr<Tokenizer> Tokenizer::parse(const TokenizerFiles &files) {
  HADAL_ASSIGN_OR_RETURN(TokenizerModel model, parseTokenizerModel(files));
  return Tokenizer(std::make_unique<TokenizerModel>(std::move(model)));
}

StatusOr<Tokenizer> Tokenizer::parse(std::string_view tokenizerJson,
                                     std::string_view configJson,
                                     const std::string &name) {
  TokenizerFiles files;
  files.tokenizer = tokenizerJson;
  files.config = configJson;
  files.name = name;
  return parse(files);
}

StatusOr<std::vector<int32_t>>
Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  const std::pair<size_t, size_t> all[] = {{0, text.size()}};
  return encodeText(text, all, options);
}

StatusOr<std::vector<int32_t>>
Tokenizer::encode(std::span<const TextPiece> pieces,
                  const EncodeOptions &options) const {
  std::string text;
  std::vector<std::pair<size_t, size_t>> trusted;
  for (const TextPiece &piece : pieces) {
    const size_t begin = text.size();
    text += piece.text;
    if (!piece.trusted || piece.text.empty())
      continue;
    if (!trusted.empty() && trusted.back().second == begin)
      trusted.back().second = text.size();
    else
      trusted.emplace_back(begin, text.size());
  }
  return encodeText(text, trusted, options);
}

StatusOr<std::vector<int32_t>> Tokenizer::encodeText(
    std::string_view text,
    std::span<const std::pair<size_t, size_t>> trusted,
    const EncodeOptions &options) const {
  for (size_t offset = 0; offset < text.size();) {
    Utf8Character character = decodeUtf8(text.substr(offset));
    if (character.state != Utf8Character::Valid)
      return error(5010,
                   "the text is not valid UTF-8 at byte {} ({:#04x}); convert "
                   "it first",
                   offset, static_cast<uint8_t>(text[offset]));
    offset += character.bytes;
  }

  std::vector<int32_t> ids;
  if (options.addBos.value_or(model_->addBos)) {
    if (!model_->bos)
      return error(5009, "a BOS token is wanted, but tokenizer_config.json "
                         "names none");
    ids.push_back(*model_->bos);
  }
  const bool isWrapped = options.addBos != false;
  if (isWrapped)
    ids.insert(ids.end(), model_->prefix.begin(), model_->prefix.end());
  auto encodeWord = [&](std::string_view word) {
    if (!model_->wholeWords.empty()) {
      auto whole = model_->wholeWords.find(std::string(word));
      if (whole != model_->wholeWords.end()) {
        ids.push_back(whole->second);
        return;
      }
    }
    model_->encoder.encode(word, ids);
  };
  Segment whole{text, -1, {}};
  for (auto [begin, end] : trusted)
    whole.trusted.push_back({begin, end});
  auto encodeSegment = [&](const Segment &all) {
    std::deque<std::string> storage;
    for (const Segment &segment :
         segmentsOf(*model_, all, options.addedTokens, storage))
      if (segment.id >= 0)
        ids.push_back(segment.id);
      else
        model_->preTokenizer.split(segment.text, encodeWord);
  };
  if (model_->isTiktoken)
    cutLongText(text, [&](size_t begin, size_t end) {
      encodeSegment(whole.part(begin, end));
    });
  else
    encodeSegment(whole);
  if (isWrapped)
    ids.insert(ids.end(), model_->suffix.begin(), model_->suffix.end());
  return ids;
}

bool Tokenizer::writesPrefix(std::string_view text) const {
  std::vector<int32_t> prefix;
  if (model_->addBos)
    prefix.push_back(*model_->bos);
  prefix.insert(prefix.end(), model_->prefix.begin(), model_->prefix.end());
  EncodeOptions alone{AddedTokens::All, false};
  StatusOr<std::vector<int32_t>> ids = encode(text, alone);
  return ids.ok() && !prefix.empty() && ids->size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), ids->begin());
}

std::optional<std::string>
Tokenizer::findAddedToken(std::string_view text) const {
  std::deque<std::string> storage;
  for (const Segment &segment :
       segmentsOf(*model_, trustedSegment(text), AddedTokens::All, storage))
    if (segment.id >= 0)
      return std::string(segment.text);
  return std::nullopt;
}

StatusOr<std::string> Tokenizer::decode(std::span<const int32_t> ids,
                                        bool skipSpecial) const {
  std::string bytes, text;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!hasToken(ids[i]))
      return error(5005,
                   "id {} at position {} has no token: the vocabulary "
                   "has {} ids",
                   ids[i], i, vocabSize());
    if (!skipSpecial || !isSpecial(ids[i]))
      bytes += tokenBytes(ids[i]);
  }
  takeCharacters(bytes, text, /*isLast=*/true);
  return text;
}

bool Tokenizer::hasToken(int32_t id) const {
  return id >= 0 && id < vocabSize() && model_->tokens[id].exists;
}

bool Tokenizer::isSpecial(int32_t id) const {
  return hasToken(id) && model_->tokens[id].special;
}

std::string_view Tokenizer::tokenBytes(int32_t id) const {
  return hasToken(id) ? std::string_view(model_->tokens[id].bytes)
                      : std::string_view();
}

std::optional<int32_t> Tokenizer::idOf(std::string_view token) const {
  return model_->idOf(std::string(token));
}

int32_t Tokenizer::vocabSize() const {
  return static_cast<int32_t>(model_->tokens.size());
}

std::optional<int32_t> Tokenizer::bosId() const { return model_->bos; }
std::optional<int32_t> Tokenizer::eosId() const { return model_->eos; }
bool Tokenizer::addsBos() const { return model_->addBos; }
std::span<const std::string> Tokenizer::notices() const {
  return model_->notices;
}

std::string IncrementalDecoder::push(int32_t id) {
  if (!skipSpecial_ || !tokenizer_->isSpecial(id))
    pending_ += tokenizer_->tokenBytes(id);
  std::string text;
  takeCharacters(pending_, text, /*isLast=*/false);
  return text;
}

std::string IncrementalDecoder::finish() {
  std::string text;
  takeCharacters(pending_, text, /*isLast=*/true);
  return text;
}

} // namespace hadal
