// encode_lines DIRECTORY [none|nonspecial|all]: reads one JSON string a line,
// prints its token ids and then, after a tab, a JSON string of the text that
// they decode to, once whole and once piece by piece. differential.py compares
// the lines with the reference library.
#include <cstdio>
#include <iostream>
#include <string>

#include "runtime/base/Json.h"
#include "runtime/tokenizer/Tokenizer.h"

using namespace hadal;

static int fail(const Status &status) {
  fmt::print(stderr, "{}\n", status.toString());
  return status.exitCode();
}

int main(int argc, char **argv) {
  if (argc < 2)
    return fail(
        error(5011, "usage: encode_lines DIRECTORY [none|nonspecial|all]"));
  StatusOr<Tokenizer> tokenizer = Tokenizer::load(argv[1]);
  if (!tokenizer.ok())
    return fail(tokenizer.status());
  std::string policy = argc > 2 ? argv[2] : "none";
  EncodeOptions options;
  options.addBos = false;
  options.addedTokens = policy == "all"          ? AddedTokens::All
                        : policy == "nonspecial" ? AddedTokens::NonSpecial
                                                 : AddedTokens::None;
  std::string line;
  while (std::getline(std::cin, line)) {
    StatusOr<Json> text = parseJson(line, 5011, "standard input");
    if (!text.ok())
      return fail(text.status());
    StatusOr<std::vector<int32_t>> ids =
        tokenizer->encode(*asString(&*text), options);
    if (!ids.ok())
      return fail(ids.status());
    StatusOr<std::string> whole = tokenizer->decode(*ids, false);
    if (!whole.ok())
      return fail(whole.status());
    IncrementalDecoder decoder(*tokenizer, false);
    std::string pieces;
    for (int32_t id : *ids)
      pieces += decoder.push(id);
    pieces += decoder.finish();
    fmt::print("{}\t{}\t{}\n", fmt::join(*ids, " "), Json(*whole).dump(),
               Json(pieces).dump());
  }
  return 0;
}
