#include "test/tools/ToolHarness.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "test/Paths.h"

namespace hadal::toy {

namespace {

std::string charOf(int id) {
  if (id == 2)
    return " ";
  if (id == 3)
    return "\n";
  if (id < 30)
    return std::string(1, static_cast<char>('a' + id - 4));
  if (id < 56)
    return std::string(1, static_cast<char>('A' + id - 30));
  return std::string(1, static_cast<char>('0' + id - 56));
}

/// The byte-level BPE alphabet: printable bytes stand for themselves, the
/// others for the code points from U+0100 on, in their order.
std::string symbolOf(int byte) {
  auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b != 173);
  };
  int point = byte;
  if (!printable(byte)) {
    point = 256;
    for (int b = 0; b < byte; ++b)
      point += !printable(b);
  }
  if (point < 128)
    return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xc0 | point >> 6),
          static_cast<char>(0x80 | (point & 0x3f))};
}

nlohmann::json tokenizerJson() {
  nlohmann::json added = nlohmann::json::array();
  for (int id : {0, 1})
    added.push_back({{"id", id},
                     {"content", id ? "<eos>" : "<bos>"},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  nlohmann::json vocab;
  for (int id = 2; id < kVocab; ++id)
    vocab[symbolOf(static_cast<uint8_t>(charOf(id)[0]))] = id;
  // The bytes the model does not know, with ids beyond its vocabulary.
  for (int byte = 0, next = kVocab; byte < 256; ++byte)
    if (!vocab.contains(symbolOf(byte)))
      vocab[symbolOf(byte)] = next++;
  auto split = [](const char *regex) {
    return nlohmann::json{{"type", "Split"},
                          {"pattern", {{"Regex", regex}}},
                          {"behavior", "Isolated"},
                          {"invert", false}};
  };
  nlohmann::json byteLevel = {{"type", "ByteLevel"},
                              {"add_prefix_space", false},
                              {"trim_offsets", true},
                              {"use_regex", false}};
  nlohmann::json steps = nlohmann::json::array(
      {split("\\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"),
       split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
             "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
             "[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
       byteLevel});
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
          {"post_processor", nullptr},
          {"decoder", byteLevel},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocab},
            {"merges", nlohmann::json::array()}}}};
}

} // namespace

std::string readText(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> splitLines(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  return lines;
}

ToyCheckpoint::ToyCheckpoint() {
  writeFile(artifact(), assemble(model()));
  writeWeights(directory.path());
  std::ofstream(directory.file("tokenizer.json")) << tokenizerJson();
}

ToolResult ToyCheckpoint::run(const std::string &tool,
                              const std::string &arguments,
                              const std::string &prefix) const {
  std::string out = directory.file("stdout"), err = directory.file("stderr");
  std::string command = prefix + " '" HADAL_BINARY_DIR "/bin/" + tool + "' " +
                        arguments + " 2>'" + err + "'";
  if (arguments.find('>') == std::string::npos)
    command += " >'" + out + "'";
  int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, readText(out),
          readText(err)};
}

ToolResult ToyCheckpoint::runModel(const std::string &arguments,
                                   const std::string &prefix) const {
  return run("hadal-run",
             artifact() + " --weights " + directory.path() + " " + arguments,
             prefix);
}

std::vector<int32_t> idsOf(const std::string &text) {
  std::vector<int32_t> ids;
  for (char c : text)
    for (int id = 2; id < kVocab; ++id)
      if (charOf(id)[0] == c)
        ids.push_back(id);
  return ids;
}

std::string textOf(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    if (id > 1)
      text += charOf(id);
  return text;
}

std::vector<int32_t> greedy(std::vector<int32_t> tokens, size_t count) {
  std::vector<int32_t> generated;
  while (generated.size() < count && tokens.size() <= size_t(kMaxSeqLen)) {
    std::vector<float> logits = referenceLogits(tokens).back();
    auto best = std::max_element(logits.begin(), logits.end());
    generated.push_back(static_cast<int32_t>(best - logits.begin()));
    tokens.push_back(generated.back());
    if (generated.back() == 1)
      break;
  }
  return generated;
}

NpyMatrix readNpy(const std::string &path) {
  NpyMatrix matrix;
  std::string file = readText(path);
  if (file.size() < 10 || file.compare(0, 8, std::string("\x93NUMPY\1\0", 8)))
    return matrix;
  size_t header = static_cast<uint8_t>(file[8]) +
                  256 * static_cast<size_t>(static_cast<uint8_t>(file[9]));
  std::string text = file.substr(10, header);
  size_t shape = text.find("'shape': (");
  if (text.find("'descr': '<f4'") == std::string::npos ||
      text.find("'fortran_order': False") == std::string::npos ||
      shape == std::string::npos ||
      std::sscanf(text.c_str() + shape, "'shape': (%lu, %lu)", &matrix.rows,
                  &matrix.columns) != 2 ||
      file.size() != 10 + header + matrix.rows * matrix.columns * 4)
    return {};
  matrix.values.resize(matrix.rows * matrix.columns);
  std::memcpy(matrix.values.data(), file.data() + 10 + header,
              matrix.values.size() * 4);
  return matrix;
}

} // namespace hadal::toy
