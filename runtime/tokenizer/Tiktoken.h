// tiktoken vocabularies with the wrapper that Kimi-K2's family puts around them;
// private to this directory.
#pragma once

#include <functional>
#include <string_view>

#include "runtime/tokenizer/TokenizerModel.h"

namespace hadal {

/// tokenizer_class of the wrapper. Its pattern is in its code, in no file.
inline constexpr std::string_view kTiktokenWrapper = "TikTokenTokenizer";
/// Places for control tokens behind the vocabulary.
inline constexpr size_t kTiktokenReserved = 256;

/// Reads a tiktoken.model, lines "<base64 of the token's bytes> <rank>", into
/// the vocabulary, encoder and pre-tokenizer of |model|; the rank is the id.
/// Ranks are those from 0 on, every byte is a token. H5009 with the line, without
/// the file's name.
Status parseTiktoken(std::string_view text, TokenizerModel &model);

/// Calls |emit| with the byte ranges of |text| that the wrapper encodes one by
/// one: 400 000 characters at most, and in them no run of more than 25 000 that
/// are all white space or all not.
void cutLongText(std::string_view text,
                 const std::function<void(size_t begin, size_t end)> &emit);

} // namespace hadal
