#include "runtime/tokenizer/Tokenizer.h"

#include <filesystem>

#include "runtime/base/MappedFile.h"
#include "runtime/tokenizer/TokenizerModel.h"

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

StatusOr<Tokenizer> Tokenizer::load(const std::string &directory) {
  fs::path path(directory);
  std::error_code failure;
  if (!fs::exists(path / "tokenizer.json", failure))
    for (const char *other : {"tiktoken.model", "tokenizer.model"})
      if (fs::exists(path / other, failure))
        return error(5009,
                     "'{}' has no tokenizer.json but {}: tiktoken and "
                     "SentencePiece vocabularies are not supported; convert it "
                     "to tokenizer.json or give token ids",
                     directory, other);
  HADAL_ASSIGN_OR_RETURN(MappedFile tokenizer,
                         MappedFile::open((path / "tokenizer.json").string()));
  MappedFile config;
  if (fs::exists(path / "tokenizer_config.json", failure)) {
    HADAL_ASSIGN_OR_RETURN(
        config, MappedFile::open((path / "tokenizer_config.json").string()));
    if (config.size() == 0)
      return error(5009, "'{}' is empty: expected a JSON object",
                   config.path());
  }
  return parse(viewOf(tokenizer), viewOf(config), directory);
}

StatusOr<Tokenizer> Tokenizer::parse(std::string_view tokenizerJson,
                                     std::string_view configJson,
                                     const std::string &name) {
  HADAL_ASSIGN_OR_RETURN(TokenizerModel model,
                         parseTokenizerModel(tokenizerJson, configJson, name));
  return Tokenizer(std::make_unique<TokenizerModel>(std::move(model)));
}

StatusOr<std::vector<int32_t>>
Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
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
  auto accepts = [&](int32_t id) {
    return options.addedTokens == AddedTokens::All ||
           !model_->tokens[id].special;
  };
  auto encodeAround = [&](auto &self, size_t stage,
                          std::string_view piece) -> void {
    if (stage == model_->added.size() ||
        options.addedTokens == AddedTokens::None) {
      model_->preTokenizer.split(piece, encodeWord);
      return;
    }
    for (size_t at = 0; at < piece.size();) {
      AddedTokenMatcher::Match match =
          model_->added[stage].find(piece, at, accepts);
      if (match.begin > at)
        self(self, stage + 1, piece.substr(at, match.begin - at));
      if (match.id >= 0)
        ids.push_back(match.id);
      at = match.end;
    }
  };
  encodeAround(encodeAround, 0, text);
  return ids;
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
