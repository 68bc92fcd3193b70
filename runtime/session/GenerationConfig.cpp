#include "runtime/session/GenerationConfig.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/Json.h"

namespace hadal {

namespace {

/// Settings that leave a text as it is where they hold the value beside them.
const struct {
  const char *name;
  double neutral;
} kUnsupported[] = {
    {"repetition_penalty", 1},
    {"encoder_repetition_penalty", 1},
    {"no_repeat_ngram_size", 0},
    {"encoder_no_repeat_ngram_size", 0},
    {"min_p", 0},
    {"typical_p", 1},
    {"epsilon_cutoff", 0},
    {"eta_cutoff", 0},
    {"top_h", 1},
    {"penalty_alpha", 0},
    {"num_beams", 1},
    {"num_beam_groups", 1},
    {"diversity_penalty", 0},
    {"length_penalty", 1},
    {"guidance_scale", 1},
    {"presence_penalty", 0},
    {"frequency_penalty", 0},
    {"min_length", 0},
    {"min_new_tokens", 0},
};
/// The same, where any value but null counts.
const char *const kUnsupportedLists[] = {
    "suppress_tokens",     "begin_suppress_tokens",
    "bad_words_ids",       "force_words_ids",
    "sequence_bias",       "forced_bos_token_id",
    "forced_eos_token_id", "stop_strings",
    "constraints",         "exponential_decay_length_penalty",
    "watermarking_config"};

class Reader {
public:
  Reader(const Json &root, std::string path, uint64_t vocabulary)
      : root(root), path(std::move(path)), vocabulary(vocabulary) {}

  StatusOr<GenerationConfig> read() {
    if (!root.is_object())
      return error(5009, "'{}': expected an object, found {}", path,
                   root.type_name());
    GenerationConfig config;
    if (const Json *ids = member("eos_token_id")) {
      if (ids->is_array()) {
        for (const Json &id : ids->get_ref<const Json::array_t &>())
          HADAL_RETURN_IF_ERROR(addEos(id, config));
      } else {
        HADAL_RETURN_IF_ERROR(addEos(*ids, config));
      }
    }
    if (const Json *sample = member("do_sample")) {
      if (!asBool(sample))
        return wrong("do_sample", "true or false", *sample);
      config.doSample = *asBool(sample);
    }
    for (auto [name, to] : {std::pair{"temperature", &config.temperature},
                            {"top_p", &config.topP}})
      if (const Json *value = member(name)) {
        if (!value->is_number())
          return wrong(name, "a number", *value);
        *to = value->get<double>();
      }
    if (const Json *value = member("top_k")) {
      // A whole number may be written as 50.0.
      const double number = value->is_number() ? value->get<double>() : -1;
      if (number < 0 || number != static_cast<uint32_t>(number))
        return wrong("top_k", "a whole number", *value);
      config.topK = static_cast<uint64_t>(number);
    }
    for (const auto &setting : kUnsupported)
      if (const Json *value = member(setting.name);
          value &&
          (!value->is_number() || value->get<double>() != setting.neutral))
        config.unsupported.push_back(
            fmt::format("{} {}", setting.name, show(*value)));
    for (const char *name : kUnsupportedLists)
      if (const Json *value = member(name); value && !value->empty())
        config.unsupported.push_back(fmt::format("{} {}", name, show(*value)));
    return config;
  }

private:
  const Json *member(const char *name) const {
    const Json *value = findMember(root, name);
    return value && !value->is_null() ? value : nullptr;
  }
  static std::string show(const Json &value) {
    std::string text =
        value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  }
  Status wrong(const char *name, const char *expected,
               const Json &found) const {
    return error(5009, "'{}': {}: expected {}, found {}", path, name, expected,
                 show(found));
  }
  Status addEos(const Json &value, GenerationConfig &config) const {
    std::optional<uint64_t> id = asUnsigned(&value);
    if (!id || *id >= vocabulary)
      return error(5009,
                   "'{}': eos_token_id: expected ids below the vocabulary's "
                   "{}, found {}",
                   path, vocabulary, show(value));
    config.eosTokenIds.push_back(static_cast<int32_t>(*id));
    return Status();
  }

  const Json &root;
  std::string path;
  uint64_t vocabulary;
};

} // namespace

bool GenerationConfig::suggestsSampling() const {
  return doSample || temperature || topP || topK || !unsupported.empty();
}

std::string GenerationConfig::describeSampling() const {
  if (!doSample)
    return "greedy";
  std::string text = fmt::format("temperature {}", temperature.value_or(1));
  if (topP)
    text += fmt::format(", top_p {}", *topP);
  if (topK)
    text += fmt::format(", top_k {}", *topK);
  return text;
}

StatusOr<GenerationConfig> GenerationConfig::load(const std::string &directory,
                                                  uint64_t vocabulary) {
  const std::string path =
      (std::filesystem::path(directory) / "generation_config.json").string();
  std::error_code failure;
  if (!std::filesystem::exists(path, failure))
    return GenerationConfig();
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, 5009));
  return Reader(root, path, vocabulary).read();
}

} // namespace hadal
