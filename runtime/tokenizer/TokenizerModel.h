// What tokenizer.json and tokenizer_config.json hold, checked; private to this
// directory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/tokenizer/AddedTokenMatcher.h"
#include "runtime/tokenizer/BytePairEncoder.h"
#include "runtime/tokenizer/PreTokenizer.h"

namespace hadal {

struct TokenizerModel {
  struct Token {
    std::string bytes;
    bool exists = false;
    bool special = false;
  };

  std::vector<Token> tokens; // by id
  std::unordered_map<std::string, int32_t> idBySpelling;

  PreTokenizer preTokenizer;
  BytePairEncoder encoder;
  /// `ignore_merges`: a word that is a token is that token. Empty otherwise.
  std::unordered_map<std::string, int32_t> wholeWords;

  /// The reference looks for tokens that are not `normalized` first, then for
  /// the others in what is left.
  std::array<AddedTokenMatcher, 2> added;

  std::optional<int32_t> bos, eos;
  bool addBos = false;

  std::optional<int32_t> idOf(const std::string &spelling) const {
    auto position = idBySpelling.find(spelling);
    if (position == idBySpelling.end())
      return std::nullopt;
    return position->second;
  }
};

/// Reads the two files' texts; |name| stands for the directory in messages.
/// |configJson| may be empty. H5009 for what is malformed or not supported.
StatusOr<TokenizerModel> parseTokenizerModel(std::string_view tokenizerJson,
                                             std::string_view configJson,
                                             const std::string &name);

} // namespace hadal
