#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>
#include <utility>

#include "runtime/base/Json.h"
#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/Tiktoken.h"
#include "runtime/tokenizer/TokenizerModel.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace {

/// Larger ids would make the table of tokens a matter of gigabytes.
constexpr uint64_t kMaxId = uint64_t{1} << 24;
/// Steps of the pre-tokenizer: each costs a pass over every prompt.
constexpr size_t kMaxSteps = 256;

/// What the step ByteLevel cuts by where `use_regex` asks for it.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

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
    for (const char *key : {"truncation", "padding"})
      if (const Json *value = findMember(root, key); present(value))
        note("{} {} is of batches for training and not applied: a prompt is "
             "taken whole",
             key, show(*value));
    // Last: it names tokens.
    return parsePostProcessor(findMember(root, "post_processor"));
  }

  Status parseConfig(const Json &root) {
    if (!root.is_object())
      return fail("expected an object, found {}", root.type_name());
    if (const Json *tokens = findMember(root, "added_tokens_decoder");
        present(tokens))
      HADAL_RETURN_IF_ERROR(parseAddedTokensDecoder(*tokens));
    HADAL_RETURN_IF_ERROR(parseToken(root, "bos_token", model_.bos));
    HADAL_RETURN_IF_ERROR(parseToken(root, "eos_token", model_.eos));
    if (const Json *value = findMember(root, "add_eos_token");
        present(value) && asBool(value) != false)
      return fail("add_eos_token: expected false, found {}", show(*value));
    if (const Json *value = findMember(root, "add_prefix_space");
        present(value) && asBool(value) == true && !model_.addsPrefixSpace)
      note("add_prefix_space is not followed: tokenizer.json, which decides, "
           "puts no space before a text");
    if (const Json *value = findMember(root, "add_bos_token"); present(value)) {
      std::optional<bool> flag = asBool(value);
      if (!flag)
        return fail("add_bos_token: expected true or false, found {}",
                    show(*value));
      model_.addBosToken = flag;
    }
    if (present(findMember(root, "chat_template")))
      noteChatTemplate();
    return Status();
  }

  /// Tokens that tokenizer_config.json does not name.
  Status parseSpecialMap(const Json &root) {
    if (!root.is_object())
      return fail("expected an object, found {}", root.type_name());
    for (auto [key, id] :
         {std::pair{"bos_token", &model_.bos}, {"eos_token", &model_.eos}}) {
      std::optional<int32_t> here;
      HADAL_RETURN_IF_ERROR(parseToken(root, key, here));
      if (!*id)
        *id = here;
      else if (here && *here != **id)
        note("{} is token {} here and token {} in the files before it, which "
             "decide",
             key, *here, **id);
    }
    return Status();
  }

  /// The vocabulary |text| of a tiktoken.model, whose pattern is not in it.
  Status parseTiktokenVocabulary(std::string_view text) {
    Status status = parseTiktoken(text, model_);
    return status.ok() ? status : fail("{}", status.message());
  }

  /// Of a tiktoken vocabulary: that the wrapper around it is the one whose
  /// pattern is known, and the places behind it that no file names.
  Status settleTiktoken(const Json *config) {
    const std::string *wrapper =
        config ? asString(findMember(*config, "tokenizer_class")) : nullptr;
    if (!wrapper || *wrapper != kTiktokenWrapper)
      return fail("tokenizer_class {} around a tiktoken.model: its pattern is "
                  "not known; expected \"{}\" (Kimi-K2), or convert the "
                  "vocabulary to tokenizer.json",
                  wrapper ? show(Json(*wrapper)) : "(none)", kTiktokenWrapper);
    for (size_t id = model_.numRanks; id < model_.numRanks + kTiktokenReserved;
         ++id) {
      if (id < model_.tokens.size() && model_.tokens[id].exists)
        continue;
      const Json number = id, flags = {{"special", true}};
      HADAL_RETURN_IF_ERROR(addAddedToken(
          fmt::format("<|reserved_token_{}|>", id), &number, flags));
    }
    return Status();
  }

  /// Whether there is a BOS token, now that all files have been read: as
  /// add_bos_token says, else as the template does.
  Status settleBos() {
    std::vector<int32_t> &prefix = model_.prefix;
    if (!model_.bos && prefix.size() == 1)
      model_.bos = prefix[0];
    if (model_.addBosToken == true && !model_.bos)
      return fail("add_bos_token is true, but there is no bos_token");
    if (!model_.bos)
      return Status();
    const bool begins = !prefix.empty() && prefix[0] == *model_.bos;
    if (begins || model_.addBosToken == false)
      prefix.erase(std::remove(prefix.begin(), prefix.end(), *model_.bos),
                   prefix.end());
    model_.addBos =
        model_.addBosToken.value_or(begins) &&
        std::find(prefix.begin(), prefix.end(), *model_.bos) == prefix.end();
    return Status();
  }

  /// Of the slow tokenizers; tokenizer.json repeats it.
  Status parseAddedTokensFile(const Json &root) {
    if (!root.is_object())
      return fail("expected an object, found {}", root.type_name());
    for (const auto &[spelling, id] : root.get_ref<const Json::object_t &>())
      if (std::optional<int32_t> known = model_.idOf(spelling);
          !known || asUnsigned(&id) != static_cast<uint64_t>(*known))
        note("token {} with id {} is not in tokenizer.json, which decides",
             show(Json(spelling)), show(id));
    return Status();
  }

  void noteChatTemplate() {
    note("holds a chat template, which is not applied: a text is continued as "
         "it is");
  }

private:
  template <typename... Args>
  Status fail(fmt::format_string<Args...> format, Args &&...args) const {
    return error(5009, "'{}': {}", name_,
                 fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args &&...args) {
    model_.notices.push_back(fmt::format(
        "'{}': {}", name_, fmt::format(format, std::forward<Args>(args)...)));
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

  /// None, NFC, or a Sequence of those; its nesting is that of the JSON text.
  Status parseNormalizer(const Json *value) {
    if (!present(value))
      return Status();
    if (typeOf(*value) == "NFC") {
      model_.normalizes = true;
      return Status();
    }
    const Json *steps = findMember(*value, "normalizers");
    if (typeOf(*value) != "Sequence" || !steps || !steps->is_array())
      return fail("unsupported normalizer {}: expected none or NFC",
                  show(*value));
    for (const Json &step : steps->get_ref<const Json::array_t &>())
      HADAL_RETURN_IF_ERROR(parseNormalizer(&step));
    return Status();
  }

  Status parsePreTokenizer(const Json *value) {
    if (!present(value))
      return fail("no pre_tokenizer: expected ByteLevel, or a Sequence that "
                  "ends in it");
    std::vector<const Json *> flat;
    HADAL_RETURN_IF_ERROR(flatten(*value, flat));
    if (flat.empty() || typeOf(*flat.back()) != "ByteLevel")
      return fail("unsupported pre_tokenizer {}: expected ByteLevel, or a "
                  "Sequence of Split and Digits that ends in it",
                  show(*value));
    if (flat.size() > kMaxSteps)
      return fail("a pre_tokenizer of {} steps: expected at most {}",
                  flat.size(), kMaxSteps);
    std::vector<SplitStep> steps;
    for (size_t i = 0; i + 1 < flat.size(); ++i) {
      HADAL_ASSIGN_OR_RETURN(SplitStep step, parseStep(*flat[i], i));
      steps.push_back(std::move(step));
    }
    HADAL_ASSIGN_OR_RETURN(ByteLevelStep last, parseByteLevel(*flat.back()));
    model_.addsPrefixSpace = last.addPrefixSpace;
    model_.preTokenizer = PreTokenizer(std::move(steps), std::move(last));
    return Status();
  }

  /// Appends the steps of |value|, those of Sequences one by one. The nesting
  /// is bounded by that of the JSON text.
  Status flatten(const Json &value, std::vector<const Json *> &steps) const {
    if (typeOf(value) != "Sequence") {
      steps.push_back(&value);
      return Status();
    }
    const Json *inner = findMember(value, "pretokenizers");
    if (!inner || !inner->is_array())
      return fail("unsupported pre_tokenizer {}: a Sequence without its "
                  "pretokenizers",
                  show(value));
    for (const Json &step : inner->get_ref<const Json::array_t &>())
      HADAL_RETURN_IF_ERROR(flatten(step, steps));
    return Status();
  }

  StatusOr<SplitStep> parseStep(const Json &step, size_t index) const {
    if (typeOf(step) == "Digits") {
      std::optional<bool> individual =
          asBool(findMember(step, "individual_digits"));
      if (!individual)
        return fail("unsupported pre-tokenizer step {}: {}; expected "
                    "individual_digits true or false",
                    index, show(step));
      // The reference takes this step from a newer Unicode (17) than its
      // regular expressions (16): these numbers were added in between.
      CodePointSet digits = *CodePointSet::category("N");
      digits.add({0x11DE0, 0x11DE9});
      digits.add({0x16FF4, 0x16FF6});
      SplitStep result{SplitRegex::ofSet(digits, !*individual)};
      return result;
    }
    const Json *pattern = findMember(step, "pattern");
    const std::string *regex =
        pattern ? asString(findMember(*pattern, "Regex")) : nullptr;
    const std::string *text =
        pattern ? asString(findMember(*pattern, "String")) : nullptr;
    const std::string *behavior = asString(findMember(step, "behavior"));
    if (typeOf(step) != "Split" || !(regex || text) || !behavior)
      return fail("unsupported pre-tokenizer step {}: {}; expected a Split by "
                  "a Regex or a String, or Digits",
                  index, show(step));
    SplitStep result;
    if (regex) {
      StatusOr<SplitRegex> compiled = SplitRegex::compile(*regex);
      if (!compiled.ok())
        return fail("unsupported pre-tokenizer pattern in step {}: {}; found "
                    "{}",
                    index, show(Json(*regex)), compiled.status().message());
      result.regex = std::move(*compiled);
    } else if (!text->empty()) {
      result.regex = SplitRegex::literal(*text);
    } else {
      return fail("unsupported pre-tokenizer step {}: a Split by the empty "
                  "text",
                  index);
    }
    using Behavior = SplitStep::Behavior;
    bool known = false;
    for (auto [name, kind] :
         {std::pair{"Isolated", Behavior::Isolated},
          {"Removed", Behavior::Removed},
          {"MergedWithPrevious", Behavior::MergedWithPrevious},
          {"MergedWithNext", Behavior::MergedWithNext},
          {"Contiguous", Behavior::Contiguous}})
      if (*behavior == name) {
        result.behavior = kind;
        known = true;
      }
    if (!known)
      return fail("unsupported pre-tokenizer step {}: unknown behavior {}",
                  index, show(Json(*behavior)));
    const Json *invert = findMember(step, "invert");
    if (present(invert) && !asBool(invert))
      return fail("step {}: invert: expected true or false, found {}", index,
                  show(*invert));
    result.invert = asBool(invert) == true;
    return result;
  }

  StatusOr<ByteLevelStep> parseByteLevel(const Json &step) const {
    ByteLevelStep result;
    const Json *space = findMember(step, "add_prefix_space");
    const Json *cuts = findMember(step, "use_regex"); // default: true
    if (!asBool(space) || (cuts && !asBool(cuts)))
      return fail("unsupported last pre-tokenizer step {}: expected ByteLevel "
                  "with add_prefix_space and use_regex true or false",
                  show(step));
    result.addPrefixSpace = *asBool(space);
    if (!cuts || *asBool(cuts)) {
      HADAL_ASSIGN_OR_RETURN(SplitRegex regex,
                             SplitRegex::compile(kByteLevelPattern));
      result.regex = std::move(regex);
    }
    return result;
  }

  /// Fuse joins what ByteLevel has joined already.
  Status parseDecoder(const Json *value) const {
    bool decodes = false;
    bool known = present(value);
    if (known && typeOf(*value) == "Sequence") {
      const Json *steps = findMember(*value, "decoders");
      known = steps && steps->is_array();
      if (known)
        for (const Json &step : steps->get_ref<const Json::array_t &>()) {
          known &=
              typeOf(step) == "ByteLevel" ? !decodes : typeOf(step) == "Fuse";
          decodes |= typeOf(step) == "ByteLevel";
        }
    } else if (known) {
      decodes = typeOf(*value) == "ByteLevel";
    }
    if (known && decodes)
      return Status();
    return fail("unsupported decoder {}: expected ByteLevel",
                value ? show(*value) : "(none)");
  }

  Status parseModel(const Json *value) {
    // The first files of this format name no type.
    if (!value || (typeOf(*value) != "BPE" && (findMember(*value, "type") ||
                                               !findMember(*value, "merges"))))
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
    // unk_token, fuse_unk and byte_fallback are of characters without a token:
    // there are none where every byte has one, which parseMerges checks.
    HADAL_RETURN_IF_ERROR(parseVocabulary(findMember(*value, "vocab")));
    HADAL_RETURN_IF_ERROR(parseMerges(findMember(*value, "merges")));
    if (const Json *ignore = findMember(*value, "ignore_merges");
        present(ignore)) {
      std::optional<bool> flag = asBool(ignore);
      if (!flag)
        return fail("ignore_merges: expected true or false, found {}",
                    show(*ignore));
      if (*flag)
        for (const auto &[spelling, id] : model_.idBySpelling)
          if (std::optional<std::string> bytes = byteLevelBytes(spelling))
            model_.wholeWords.emplace(std::move(*bytes), id);
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
      model_.encoder.addMerge(*ids[0], *ids[1], *ids[2],
                              static_cast<uint32_t>(i));
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
      HADAL_RETURN_IF_ERROR(
          addAddedToken(*content, findMember(entry, "id"), entry));
    }
    return Status();
  }

  Status addAddedToken(const std::string &content, const Json *id,
                       const Json &flags) {
    bool values[5];
    const char *keys[] = {"special", "normalized", "lstrip", "rstrip",
                          "single_word"};
    for (size_t i = 0; i < std::size(keys); ++i) {
      const Json *flag = findMember(flags, keys[i]);
      if (present(flag) && !asBool(flag))
        return fail("added token {}: {}: expected true or false, found {}",
                    show(Json(content)), keys[i], show(*flag));
      values[i] = asBool(flag) == true;
    }
    HADAL_RETURN_IF_ERROR(addToken(content, id, /*special=*/values[0]));
    const int32_t number = *model_.idOf(content);
    TokenizerModel::Token &token = model_.tokens[number];
    token.stripsLeft = values[2];
    token.stripsRight = values[3];
    token.singleWord = values[4];
    // tiktoken knows no flags.
    if (model_.isTiktoken)
      token.stripsLeft = token.stripsRight = token.singleWord = values[1] =
          false;
    model_.added[values[1]].add(
        values[1] && model_.normalizes ? normalizeNfc(content) : content,
        number);
    model_.addedIds.insert(number);
    return Status();
  }

  /// tokenizer_config.json repeats the added tokens of tokenizer.json, whose
  /// flags count, and may know more of them.
  Status parseAddedTokensDecoder(const Json &tokens) {
    if (!tokens.is_object())
      return fail("added_tokens_decoder: expected an object, found {}",
                  tokens.type_name());
    for (const auto &[key, entry] : tokens.get_ref<const Json::object_t &>()) {
      const std::string *content = asString(findMember(entry, "content"));
      uint64_t id = 0;
      auto [end, failure] =
          std::from_chars(key.data(), key.data() + key.size(), id);
      if (!content || content->empty() || failure != std::errc() ||
          end != key.data() + key.size())
        return fail("added_tokens_decoder: expected an id and a token with "
                    "content, found {}: {}",
                    show(Json(key)), show(entry));
      std::optional<int32_t> known = model_.idOf(*content);
      if (known && static_cast<uint64_t>(*known) != id)
        note("token {} has id {} here and {} in tokenizer.json, which decides",
             show(Json(*content)), id, *known);
      else if (!known || !model_.addedIds.count(*known)) {
        Json number = id;
        HADAL_RETURN_IF_ERROR(addAddedToken(*content, &number, entry));
      }
    }
    return Status();
  }

  /// ByteLevel only trims offsets. A TemplateProcessing puts tokens around the
  /// text.
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
    std::vector<int32_t> prefix, suffix;
    bool valid =
        typeOf(*value) == "TemplateProcessing" && single && single->is_array();
    bool hasText = false;
    if (valid)
      for (const Json &item : single->get_ref<const Json::array_t &>()) {
        if (findMember(item, "Sequence")) {
          valid &= !std::exchange(hasText, true);
          continue;
        }
        valid &= templateIds(*value, item, hasText ? suffix : prefix);
      }
    if (!valid || !hasText || !model_.prefix.empty() || !model_.suffix.empty())
      return fail("unsupported post_processor {}: expected ByteLevel or one "
                  "TemplateProcessing of known tokens around the text",
                  show(*value));
    model_.prefix = std::move(prefix);
    model_.suffix = std::move(suffix);
    return Status();
  }

  /// Appends the ids of a SpecialToken of a template; false if they are
  /// unknown.
  bool templateIds(const Json &processor, const Json &item,
                   std::vector<int32_t> &ids) const {
    const Json *special = findMember(item, "SpecialToken");
    const std::string *name =
        special ? asString(findMember(*special, "id")) : nullptr;
    if (!name)
      return false;
    const Json *table = findMember(processor, "special_tokens");
    const Json *entry = table ? findMember(*table, *name) : nullptr;
    const Json *list = entry ? findMember(*entry, "ids") : nullptr;
    if (!list) {
      std::optional<int32_t> id = model_.idOf(*name);
      if (id)
        ids.push_back(*id);
      return id.has_value();
    }
    if (!list->is_array())
      return false;
    for (const Json &value : list->get_ref<const Json::array_t &>()) {
      std::optional<uint64_t> id = asUnsigned(&value);
      if (!id || *id >= model_.tokens.size() || !model_.tokens[*id].exists)
        return false;
      ids.push_back(static_cast<int32_t>(*id));
    }
    return true;
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

StatusOr<TokenizerModel> parseTokenizerModel(const TokenizerFiles &files) {
  JsonLimits limits;
  limits.depth = 16;
  TokenizerModel model;
  using Step = Status (Parser::*)(const Json &);
  const std::tuple<const char *, std::string_view, Step> steps[] = {
      {"tokenizer.json", files.tokenizer, &Parser::parseTokenizer},
      {"tokenizer_config.json", files.config, &Parser::parseConfig},
      {"special_tokens_map.json", files.specialMap, &Parser::parseSpecialMap},
      {"added_tokens.json", files.addedTokens, &Parser::parseAddedTokensFile}};
  const bool isTiktoken = files.tokenizer.empty() && !files.tiktoken.empty();
  if (isTiktoken)
    HADAL_RETURN_IF_ERROR(Parser(model, files.name + "/tiktoken.model")
                              .parseTiktokenVocabulary(files.tiktoken));
  std::optional<Json> config;
  for (const auto &[file, text, parse] : steps) {
    const bool isVocabulary = text.data() == files.tokenizer.data();
    if (isVocabulary ? isTiktoken : text.empty())
      continue;
    std::string path = files.name + "/" + file;
    HADAL_ASSIGN_OR_RETURN(Json root, parseJson(text, 5009, path, limits));
    Parser parser(model, path);
    HADAL_RETURN_IF_ERROR((parser.*parse)(root));
    if (text.data() == files.config.data())
      config = std::move(root);
  }
  if (isTiktoken)
    HADAL_RETURN_IF_ERROR(Parser(model, files.name + "/tokenizer_config.json")
                              .settleTiktoken(config ? &*config : nullptr));
  HADAL_RETURN_IF_ERROR(
      Parser(model, files.name + "/tokenizer_config.json").settleBos());
  if (files.hasChatTemplate)
    Parser(model, files.name).noteChatTemplate();
  return model;
}

} // namespace hadal
