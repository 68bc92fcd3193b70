// Byte-level BPE from a Hugging Face tokenizer.json, or from a tiktoken
// vocabulary as Kimi-K2 and Moonlight have it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/base/TextPiece.h"

namespace hadal {

struct TokenizerModel;

/// The texts of a checkpoint's tokenizer files, empty where a file is not there.
/// There is a tokenizer.json or a tiktoken.model.
struct TokenizerFiles {
  std::string_view tokenizer;   // tokenizer.json
  std::string_view tiktoken;    // tiktoken.model; counts if that is empty
  std::string_view config;      // tokenizer_config.json
  std::string_view specialMap;  // special_tokens_map.json
  std::string_view addedTokens; // added_tokens.json
  /// There is a chat_template.jinja or chat_template.json.
  bool hasChatTemplate = false;
  /// Stands for the directory in messages.
  std::string name;
};

/// Which added tokens (control tokens such as "<｜User｜>") the text itself may
/// produce. DeepSeek marks its role tokens `special: false`, so only None keeps
/// untrusted text from writing a dialogue turn.
enum class AddedTokens : uint8_t {
  None,       // all text is ordinary text
  NonSpecial, // those with `special: false`
  All,        // every added token: text from a chat template
};

struct EncodeOptions {
  AddedTokens addedTokens = AddedTokens::None;
  /// Put the BOS token first, and what else the post-processor's template puts
  /// around a text; unset: as the files say. False: the text alone.
  std::optional<bool> addBos;
};

/// Immutable after loading; const members may be called from many threads.
class Tokenizer {
public:
  Tokenizer(Tokenizer &&) noexcept;
  Tokenizer &operator=(Tokenizer &&) noexcept;
  ~Tokenizer();

  /// Whether |directory| has a vocabulary that load() reads.
  static bool isIn(const std::string &directory);

  /// Reads tokenizer.json or, without one, tiktoken.model, and, where present,
  /// the other tokenizer files of |directory|. H5009 for what is malformed, or changes ids and is not
  /// supported, by name. Where files disagree tokenizer.json decides on ids,
  /// then tokenizer_config.json, then special_tokens_map.json.
  static StatusOr<Tokenizer> load(const std::string &directory);

  /// The same from texts.
  static StatusOr<Tokenizer> parse(const TokenizerFiles &files);
  static StatusOr<Tokenizer> parse(std::string_view tokenizerJson,
                                   std::string_view configJson,
                                   const std::string &name);

  /// H5010 if
  /// |text| is not UTF-8, naming the byte.
  StatusOr<std::vector<int32_t>>
  encode(std::string_view text, const EncodeOptions &options = {}) const;

  /// The same of the pieces as one text, in which an added token counts only
  /// where all of it is trusted: the spelling of one in another piece is cut
  /// and merged as the ordinary text that it is, and all else as in the whole.
  StatusOr<std::vector<int32_t>>
  encode(std::span<const TextPiece> pieces,
         const EncodeOptions &options = {AddedTokens::All, false}) const;

  /// True if |text| itself begins, under AddedTokens::All, with the tokens that
  /// encode() would put first: it has been rendered from a template.
  bool writesPrefix(std::string_view text) const;

  /// The first place where AddedTokens::All finds an added token in |text|, as
  /// it is written; nullopt: |text| is the same under every policy.
  std::optional<std::string> findAddedToken(std::string_view text) const;

  /// The text of |ids|; bytes that form no UTF-8 become U+FFFD. H5005 for an id
  /// outside the vocabulary.
  StatusOr<std::string> decode(std::span<const int32_t> ids,
                               bool skipSpecial = true) const;

  /// The raw bytes of |id|, which may be part of a character; empty for an id
  /// that has no token.
  std::string_view tokenBytes(int32_t id) const;
  bool isSpecial(int32_t id) const;
  bool hasToken(int32_t id) const;
  /// The id of a token as tokenizer.json spells it (added or base).
  std::optional<int32_t> idOf(std::string_view token) const;

  /// One more than the largest id. Models pad their vocabulary beyond it.
  int32_t vocabSize() const;
  /// From tokenizer_config.json.
  std::optional<int32_t> bosId() const;
  std::optional<int32_t> eosId() const;
  bool addsBos() const;
  /// What the files say that is not followed (a chat template, a truncation), a
  /// sentence each.
  std::span<const std::string> notices() const;

private:
  /// |trusted|: begin and end of where added tokens may stand.
  StatusOr<std::vector<int32_t>>
  encodeText(std::string_view text,
             std::span<const std::pair<size_t, size_t>> trusted,
             const EncodeOptions &options) const;

  explicit Tokenizer(std::unique_ptr<TokenizerModel> model);
  std::unique_ptr<TokenizerModel> model_;
};

/// Decodes a stream of ids: text is returned as soon as its characters are
/// complete; the bytes of an incomplete one are held back. For every way to cut
/// a sequence the pieces add up to Tokenizer::decode of the whole.
class IncrementalDecoder {
public:
  explicit IncrementalDecoder(const Tokenizer &tokenizer,
                              bool skipSpecial = true)
      : tokenizer_(&tokenizer), skipSpecial_(skipSpecial) {}

  /// The text that |id| completes; an id without a token adds nothing.
  std::string push(int32_t id);
  /// What is held back, as U+FFFD.
  std::string finish();

private:
  const Tokenizer *tokenizer_;
  bool skipSpecial_;
  std::string pending_;
};

} // namespace hadal
