#include "tools/hadal-run/RankOutputs.h"

#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "runtime/comm/Gather.h"

namespace hadal {

namespace {

using Json = nlohmann::json;

Json binary(const void *data, size_t bytes) {
  const auto *begin = static_cast<const uint8_t *>(data);
  return Json::binary(std::vector<uint8_t>(begin, begin + bytes));
}

std::vector<uint8_t> write(const RankOutputs &outputs, bool isFirst) {
  const engine::GenerateStatistics &s = outputs.statistics;
  Json json = {{"texts", Json::array()},
               {"logits", Json::array()},
               {"cut", Json::array()},
               {"prompt_tokens", isFirst ? s.promptTokens : 0},
               {"generated_tokens", isFirst ? s.generatedTokens : 0},
               {"tokens", isFirst ? outputs.counters.tokens : 0},
               {"prefill_seconds", s.prefillSeconds},
               {"decode_seconds", s.decodeSeconds},
               {"replayed_rows", outputs.counters.replayedDemand.rows},
               {"replayed_pairs", outputs.counters.replayedDemand.pairs}};
  if (isFirst) {
    for (const auto &[index, text] : outputs.texts)
      json["texts"].push_back({index, binary(text.data(), text.size())});
    for (const auto &[index, values] : outputs.logits)
      json["logits"].push_back(
          {index, binary(values.data(), values.size() * sizeof(float))});
    json["cut"] = outputs.cut;
  }
  return Json::to_cbor(json);
}

void add(const Json &json, RankOutputs &outputs) {
  for (const Json &pair : json.at("texts")) {
    const std::vector<uint8_t> &bytes = pair.at(1).get_binary();
    outputs.texts[pair.at(0).get<size_t>()].assign(bytes.begin(), bytes.end());
  }
  for (const Json &pair : json.at("logits")) {
    const std::vector<uint8_t> &bytes = pair.at(1).get_binary();
    std::vector<float> &values = outputs.logits[pair.at(0).get<size_t>()];
    values.resize(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  }
  for (const Json &index : json.at("cut"))
    outputs.cut.push_back(index.get<size_t>());
  engine::GenerateStatistics &s = outputs.statistics;
  s.promptTokens += json.at("prompt_tokens").get<uint64_t>();
  s.generatedTokens += json.at("generated_tokens").get<uint64_t>();
  outputs.counters.tokens += json.at("tokens").get<uint64_t>();
  outputs.counters.replayedDemand.raise(
      {json.at("replayed_rows").get<uint32_t>(),
       json.at("replayed_pairs").get<uint32_t>()});
  s.prefillSeconds =
      std::max(s.prefillSeconds, json.at("prefill_seconds").get<double>());
  s.decodeSeconds =
      std::max(s.decodeSeconds, json.at("decode_seconds").get<double>());
}

} // namespace

Status gatherOutputs(comm::Group &group, bool isFirst,
                     std::chrono::milliseconds timeout, RankOutputs &outputs) {
  const std::vector<uint8_t> mine =
      group.rank() ? write(outputs, isFirst) : std::vector<uint8_t>();
  HADAL_ASSIGN_OR_RETURN(std::vector<std::vector<uint8_t>> all,
                         comm::gather(group, mine, timeout));
  if (group.rank())
    return {};
  for (unsigned r = 1; r < all.size(); ++r)
    try {
      add(Json::from_cbor(all[r]), outputs);
    } catch (const Json::exception &e) {
      return error(6006, "the outputs of rank {} cannot be read: {}", r,
                   e.what());
    }
  std::sort(outputs.cut.begin(), outputs.cut.end());
  return {};
}

} // namespace hadal
