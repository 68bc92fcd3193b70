// A tokenizer whose ids 0 to 255 are the bytes, 256 is the special token
// "<end>" and 257 the token "stop".
#pragma once

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::engine {

inline Tokenizer testTokenizer() {
  nlohmann::json vocab = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte) {
    std::string spelling;
    appendUtf8(spelling, byteLevelCharacter(static_cast<uint8_t>(byte)));
    vocab[spelling] = byte;
  }
  vocab["stop"] = 257;
  nlohmann::json definition = {{"added_tokens",
                                {{{"id", 256},
                                  {"content", "<end>"},
                                  {"special", true},
                                  {"normalized", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"single_word", false}}}},
                               {"pre_tokenizer",
                                {{"type", "ByteLevel"},
                                 {"add_prefix_space", false},
                                 {"trim_offsets", true},
                                 {"use_regex", true}}},
                               {"decoder", {{"type", "ByteLevel"}}},
                               {"model",
                                {{"type", "BPE"},
                                 {"vocab", vocab},
                                 {"merges", nlohmann::json::array()}}}};
  StatusOr<Tokenizer> tokenizer =
      Tokenizer::parse(definition.dump(), "{}", "test");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().toString();
  return std::move(*tokenizer);
}

} // namespace hadal::engine
