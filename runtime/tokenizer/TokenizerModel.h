// What the tokenizer files hold, checked; private to this directory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/tokenizer/AddedTokenMatcher.h"
#include "runtime/tokenizer/BytePairEncoder.h"
#include "runtime/tokenizer/PreTokenizer.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace hadal {

struct TokenizerModel {
  struct Token {
    std::string bytes;
    bool exists = false;
    bool special = false;
    // Of an added token: white space beside it vanishes; it counts only where
    // no letter, digit or mark touches it.
    bool stripsLeft = false, stripsRight = false, singleWord = false;
  };

  std::vector<Token> tokens; // by id
  std::unordered_map<std::string, int32_t> idBySpelling;

  bool normalizes = false; // to form C, before tokens that are `normalized`
  PreTokenizer preTokenizer;
  bool addsPrefixSpace = false; // so that configuration can be compared
  BytePairEncoder encoder;
  /// `ignore_merges`: a word that is a token is that token. Empty otherwise.
  std::unordered_map<std::string, int32_t> wholeWords;

  /// The reference looks for tokens that are not `normalized` first, then for
  /// the others in what is left.
  std::array<AddedTokenMatcher, 2> added; ///< by `normalized`
  std::unordered_set<int32_t> addedIds;

  /// Of a tiktoken vocabulary, whose wrapper cuts long texts before anything
  /// else sees them: text between the cuts is encoded alone.
  bool isTiktoken = false;
  size_t numRanks = 0; ///< tokens of it

  std::optional<int32_t> bos, eos;
  bool addBos = false;
  std::optional<bool> addBosToken; // add_bos_token of tokenizer_config.json
  /// What the post-processor's template puts around a text; the BOS token,
  /// which addBos stands for, is left out of the prefix.
  std::vector<int32_t> prefix, suffix;
  /// What the files say that is not followed, a sentence each.
  std::vector<std::string> notices;

  std::optional<int32_t> idOf(const std::string &spelling) const {
    auto position = idBySpelling.find(spelling);
    if (position == idBySpelling.end())
      return std::nullopt;
    return position->second;
  }
};

/// Reads the files' texts. H5009 for what is malformed or not supported.
StatusOr<TokenizerModel> parseTokenizerModel(const TokenizerFiles &files);

} // namespace hadal
