#include "runtime/base/Json.h"
#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/TokenizerModel.h"

namespace hadal {

namespace {

/// Larger ids would make the table of tokens a matter of gigabytes.
constexpr uint64_t kMaxId = uint64_t{1} << 24;

/// Reads one tokenizer.json; every check reports through fail().
class Parser {
public:
  Parser(TokenizerModel &model, std::string name)
      : model_(model), name_(std::move(name)) {}

  Status parseTokenizer(const Json &root) {
    HADAL_RETURN_IF_ERROR(parseNormalizer(findMember(root, "normalizer")));
    HADAL_RETURN_IF_ERROR(parsePreTokenizer(findMember(root, "pre_tokenizer")));
    HADAL_RETURN_IF_ERROR(parseDecoder(findMember(root, "decoder")));
    HADAL_RETURN_IF_ERROR(parseModel(findMember(root, "model")));
    HADAL_RETURN_IF_ERROR(parseAddedTokens(findMember(root, "added_tokens")));
    // Last: it names a token. truncation and padding concern batches of
    // training text; a prompt is never cut silently.
    return parsePostProcessor(findMember(root, "post_processor"));
  }

  Status parseConfig(const Json &root) {
    HADAL_RETURN_IF_ERROR(parseToken(root, "bos_token", model_.bos));
    HADAL_RETURN_IF_ERROR(parseToken(root, "eos_token", model_.eos));
    if (const Json *value = findMember(root, "add_eos_token");
        present(value) && asBool(value) != false)
      return fail("add_eos_token: expected false, found {}", show(*value));
    if (const Json *value = findMember(root, "add_bos_token"); present(value)) {
      std::optional<bool> flag = asBool(value);
      if (!flag)
        return fail("add_bos_token: expected true or false, found {}",
                    show(*value));
      if (*flag && !model_.bos)
        return fail("add_bos_token is true, but there is no bos_token");
      model_.addBos = *flag;
    }
    return Status();
  }

private:
  template <typename... Args>
  Status fail(fmt::format_string<Args...> format, Args &&...args) const {
    return error(5009, "'{}': {}", name_,
                 fmt::format(format, std::forward<Args>(args)...));
  }
  static bool present(const Json *value) { return value && !value->is_null(); }
  static std::string show(const Json &value) {
    std::string text =
        value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= 120 ? text : text.substr(0, 117) + "...";
  }
  static std::string typeOf(const Json &value) {
    const std::string *type = asString(findMember(value, "type"));
    return type ? *type : "";
  }

  Status parseNormalizer(const Json *value) {
    if (!present(value))
      return Status();
    const Json *steps = findMember(*value, "normalizers");
    if (typeOf(*value) == "Sequence" && steps && steps->is_array() &&
        steps->empty())
      return Status();
    return fail("unsupported normalizer {}: expected none", show(*value));
  }

  Status parsePreTokenizer(const Json *value) {
    if (!present(value))
      return fail("no pre_tokenizer: expected a Sequence of Split and "
                  "ByteLevel");
    const Json *steps = findMember(*value, "pretokenizers");
    if (typeOf(*value) != "Sequence" || !steps || !steps->is_array() ||
        steps->empty())
      return fail("unsupported pre_tokenizer {}: expected a Sequence of Split "
                  "and ByteLevel",
                  show(*value));
    std::vector<SplitRule> rules;
    for (size_t i = 0; i + 1 < steps->size(); ++i) {
      const Json &step = steps->get_ref<const Json::array_t &>()[i];
      if (typeOf(step) == "Digits" &&
          asBool(findMember(step, "individual_digits")) == true) {
        SplitRule rule;
        rule.kind = SplitRule::Kind::Digit;
        rules.push_back(rule);
        continue;
      }
      const Json *pattern = findMember(step, "pattern");
      const std::string *regex =
          pattern ? asString(findMember(*pattern, "Regex")) : nullptr;
      const std::string *behavior = asString(findMember(step, "behavior"));
      if (typeOf(step) != "Split" || !regex || !behavior ||
          *behavior != "Isolated" || asBool(findMember(step, "invert")) == true)
        return fail("unsupported pre-tokenizer step {}: {}; expected Split by "
                    "a Regex, Isolated, not inverted",
                    i, show(step));
      std::optional<SplitRule> rule = parseSplitRule(*regex);
      if (!rule)
        return fail("unsupported pre-tokenizer pattern in step {}: {}; "
                    "expected those of DeepSeek-V3 or V2",
                    i, show(*findMember(*pattern, "Regex")));
      rules.push_back(std::move(*rule));
    }
    const Json &last = steps->get_ref<const Json::array_t &>().back();
    if (typeOf(last) != "ByteLevel" ||
        asBool(findMember(last, "add_prefix_space")) != false ||
        asBool(findMember(last, "use_regex")) != false)
      return fail("unsupported last pre-tokenizer step {}: expected ByteLevel "
                  "without add_prefix_space and use_regex",
                  show(last));
    model_.preTokenizer = PreTokenizer(std::move(rules));
    return Status();
  }

  Status parseDecoder(const Json *value) {
    if (present(value) && typeOf(*value) == "ByteLevel")
      return Status();
    return fail("unsupported decoder {}: expected ByteLevel",
                value ? show(*value) : "(none)");
  }

  Status parseModel(const Json *value) {
    if (!value || typeOf(*value) != "BPE")
      return fail("unsupported model type \"{}\": expected BPE",
                  value ? typeOf(*value) : "");
    const Json *dropout = findMember(*value, "dropout");
    if (present(dropout) && *dropout != 0)
      return fail("unsupported dropout {}: expected none", show(*dropout));
    for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const Json *affix = findMember(*value, key); present(affix)) {
        const std::string *text = asString(affix);
        if (!text || !text->empty())
          return fail("unsupported {} {}: expected none", key, show(*affix));
      }
    if (const Json *fallback = findMember(*value, "byte_fallback");
        present(fallback) && asBool(fallback) != false)
      return fail("unsupported byte_fallback {}: expected false",
                  show(*fallback));
    HADAL_RETURN_IF_ERROR(parseVocabulary(findMember(*value, "vocab")));
    HADAL_RETURN_IF_ERROR(parseMerges(findMember(*value, "merges")));
    if (const Json *ignore = findMember(*value, "ignore_merges");
        present(ignore)) {
      std::optional<bool> flag = asBool(ignore);
      if (!flag)
        return fail("ignore_merges: expected true or false, found {}",
                    show(*ignore));
      if (*flag)
        for (size_t id = 0; id < model_.tokens.size(); ++id)
          if (model_.tokens[id].exists)
            model_.wholeWords.emplace(model_.tokens[id].bytes,
                                      static_cast<int32_t>(id));
    }
    return Status();
  }

  /// Gives |id| its token.
  Status addToken(const std::string &spelling, const Json *idValue,
                  bool special) {
    std::optional<uint64_t> id = asUnsigned(idValue);
    if (!id || *id >= kMaxId)
      return fail("token {}: expected an id below {}, found {}", show(spelling),
                  kMaxId, idValue ? show(*idValue) : "none");
    if (model_.tokens.size() <= *id)
      model_.tokens.resize(*id + 1);
    TokenizerModel::Token &token = model_.tokens[*id];
    auto [position, isNew] =
        model_.idBySpelling.emplace(spelling, static_cast<int32_t>(*id));
    if (!isNew && position->second != static_cast<int32_t>(*id))
      return fail("token {} has two ids, {} and {}", show(spelling),
                  position->second, *id);
    if (isNew && token.exists)
      return fail("token {} has id {}, which another token has", show(spelling),
                  *id);
    token.exists = true;
    token.special |= special;
    // A token with a character outside the alphabet stands for itself.
    std::optional<std::string> bytes = byteLevelBytes(spelling);
    token.bytes = bytes ? std::move(*bytes) : spelling;
    return Status();
  }

  Status parseVocabulary(const Json *vocab) {
    if (!vocab || !vocab->is_object())
      return fail("model.vocab: expected an object, found {}",
                  vocab ? vocab->type_name() : "none");
    for (const auto &[spelling, id] : vocab->get_ref<const Json::object_t &>())
      HADAL_RETURN_IF_ERROR(addToken(spelling, &id, /*special=*/false));
    return Status();
  }

  Status parseMerges(const Json *merges) {
    if (!merges || !merges->is_array())
      return fail("model.merges: expected an array, found {}",
                  merges ? merges->type_name() : "none");
    std::array<int32_t, 256> byteIds;
    for (int byte = 0; byte < 256; ++byte) {
      std::string spelling;
      appendUtf8(spelling, byteLevelCharacter(static_cast<uint8_t>(byte)));
      std::optional<int32_t> id = model_.idOf(spelling);
      // UTF-8 has no bytes C0, C1 and F5 to FF; DeepSeek-V2 has none either.
      bool occurs = byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
      if (!id && occurs)
        return fail("model.vocab has no token for byte {:#04x}", byte);
      byteIds[byte] = id.value_or(-1);
    }
    const auto &list = merges->get_ref<const Json::array_t &>();
    model_.encoder = BytePairEncoder(byteIds, list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      std::string left, right;
      if (const std::string *text = asString(&list[i])) {
        // "left right": a token never holds a space, it is spelled otherwise.
        size_t space = text->find(' ');
        if (space != std::string::npos) {
          left = text->substr(0, space);
          right = text->substr(space + 1);
        }
      } else if (list[i].is_array() && list[i].size() == 2) {
        const auto &pair = list[i].get_ref<const Json::array_t &>();
        if (asString(&pair[0]) && asString(&pair[1])) {
          left = *asString(&pair[0]);
          right = *asString(&pair[1]);
        }
      }
      if (left.empty() || right.empty())
        return fail("merge {}: expected two tokens, found {}", i,
                    show(list[i]));
      std::optional<int32_t> ids[3] = {model_.idOf(left), model_.idOf(right),
                                       model_.idOf(left + right)};
      if (!ids[0] || !ids[1] || !ids[2])
        return fail("merge {} {}: {} is not in the vocabulary", i,
                    show(list[i]),
                    show(!ids[0]   ? left
                         : !ids[1] ? right
                                   : left + right));
      model_.encoder.addMerge(*ids[0], *ids[1], *ids[2]);
    }
    return Status();
  }

  Status parseAddedTokens(const Json *added) {
    if (!present(added))
      return Status();
    if (!added->is_array())
      return fail("added_tokens: expected an array, found {}",
                  added->type_name());
    for (const Json &entry : added->get_ref<const Json::array_t &>()) {
      const std::string *content = asString(findMember(entry, "content"));
      if (!content || content->empty())
        return fail("added token {}: expected a non-empty content",
                    show(entry));
      for (const char *key : {"lstrip", "rstrip", "single_word"})
        if (const Json *flag = findMember(entry, key);
            present(flag) && asBool(flag) != false)
          return fail("added token {}: unsupported {}: expected false",
                      show(*findMember(entry, "content")), key);
      bool special = asBool(findMember(entry, "special")) == true;
      HADAL_RETURN_IF_ERROR(
          addToken(*content, findMember(entry, "id"), special));
      bool normalized = asBool(findMember(entry, "normalized")) == true;
      model_.added[normalized].add(*content, *model_.idOf(*content));
    }
    return Status();
  }

  /// ByteLevel only trims offsets. A TemplateProcessing may put the BOS token
  /// first.
  Status parsePostProcessor(const Json *value) {
    if (!present(value) || typeOf(*value) == "ByteLevel")
      return Status();
    if (typeOf(*value) == "Sequence") {
      const Json *steps = findMember(*value, "processors");
      if (steps && steps->is_array()) {
        for (const Json &step : steps->get_ref<const Json::array_t &>())
          HADAL_RETURN_IF_ERROR(parsePostProcessor(&step));
        return Status();
      }
    }
    const Json *single = findMember(*value, "single");
    if (typeOf(*value) == "TemplateProcessing" && single &&
        single->is_array() && !single->empty() && single->size() <= 2) {
      const auto &items = single->get_ref<const Json::array_t &>();
      const Json *special = findMember(items.front(), "SpecialToken");
      const std::string *token =
          special ? asString(findMember(*special, "id")) : nullptr;
      bool endsWithText = findMember(items.back(), "Sequence");
      if (endsWithText && items.size() == 1)
        return Status();
      if (endsWithText && token && model_.idOf(*token)) {
        model_.bos = model_.idOf(*token);
        model_.addBos = true;
        return Status();
      }
    }
    return fail("unsupported post_processor {}: expected ByteLevel or a "
                "TemplateProcessing of one token and the text",
                show(*value));
  }

  /// A token of tokenizer_config.json: a string or {"content": string}.
  Status parseToken(const Json &root, const char *key,
                    std::optional<int32_t> &id) {
    const Json *value = findMember(root, key);
    if (!present(value))
      return Status();
    const std::string *content = asString(value);
    if (!content)
      content = asString(findMember(*value, "content"));
    if (!content)
      return fail("{}: expected a token, found {}", key, show(*value));
    id = model_.idOf(*content);
    if (!id)
      return fail("{} {} is not in the vocabulary", key, show(*value));
    return Status();
  }

  TokenizerModel &model_;
  std::string name_;
};

} // namespace

StatusOr<TokenizerModel> parseTokenizerModel(std::string_view tokenizerJson,
                                             std::string_view configJson,
                                             const std::string &name) {
  JsonLimits limits;
  limits.depth = 16;
  TokenizerModel model;
  {
    std::string path = name + "/tokenizer.json";
    HADAL_ASSIGN_OR_RETURN(Json root,
                           parseJson(tokenizerJson, 5009, path, limits));
    HADAL_RETURN_IF_ERROR(Parser(model, path).parseTokenizer(root));
  }
  if (!configJson.empty()) {
    std::string path = name + "/tokenizer_config.json";
    HADAL_ASSIGN_OR_RETURN(Json root,
                           parseJson(configJson, 5009, path, limits));
    HADAL_RETURN_IF_ERROR(Parser(model, path).parseConfig(root));
  }
  return model;
}

} // namespace hadal
