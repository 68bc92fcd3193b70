#include "runtime/chat/ChatTemplate.h"

#include <filesystem>

#include "runtime/base/MappedFile.h"
#include "runtime/chat/Text.h"

namespace hadal::chat {

namespace fs = std::filesystem;

namespace {

StatusOr<Template> readTemplate(const std::string &path) {
  StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return error(5025, "{}", file.status().message());
  return Template::parse({reinterpret_cast<const char *>(file->data()),
                          static_cast<size_t>(file->size())},
                         path);
}

/// {name, template} of a list of templates.
Status readNamed(const Json &entry, const std::string &path,
                 std::optional<Template> &plain,
                 std::optional<Template> &withTools) {
  const std::string *name = asString(findMember(entry, "name"));
  const std::string *source = asString(findMember(entry, "template"));
  if (!name || !source)
    return error(5025,
                 "'{}': chat_template: expected a list of {{name, template}}, "
                 "found {}",
                 path, entry.dump());
  if (*name != "default" && *name != "tool_use")
    return {};
  HADAL_ASSIGN_OR_RETURN(
      Template parsed,
      Template::parse(*source, path + ": chat_template " + *name));
  (*name == "default" ? plain : withTools) = std::move(parsed);
  return {};
}

Status failAt(size_t index, const std::string &what) {
  return error(5005, "messages[{}]{}", index, what);
}

/// The parts of |content| as one text.
StatusOr<std::string> joinParts(const OrderedJson &content, size_t index) {
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const OrderedJson &part = content[i];
    const auto where = fmt::format(".content[{}]", i);
    if (!part.is_object() || !part.contains("type") ||
        !part["type"].is_string())
      return failAt(index, where + ": expected an object with a type");
    if (part["type"] != "text") {
      const std::string &type = part["type"].get_ref<const std::string &>();
      const bool isVision = type.starts_with("image") ||
                            type.starts_with("video") ||
                            type.starts_with("input_image");
      return failAt(index, where + fmt::format(
                                       ".type: expected \"text\", found {}: {}",
                                       part["type"].dump(),
                                       isVision
                                           ? "vision input is not supported"
                                           : "the model reads nothing else"));
    }
    if (!part.contains("text") || !part["text"].is_string())
      return failAt(index, where + ".text: expected a string");
    text += (i ? "\n" : "") + part["text"].get<std::string>();
  }
  return text;
}

} // namespace

StatusOr<ChatTemplate>
ChatTemplate::load(const std::string &directory,
                   const std::optional<std::string> &file) {
  ChatTemplate result;
  const std::string config =
      (fs::path(directory) / "tokenizer_config.json").string();
  const std::string own =
      (fs::path(directory) / "chat_template.jinja").string();
  std::error_code failure;
  Json root;
  if (fs::exists(config, failure)) {
    HADAL_ASSIGN_OR_RETURN(root, readJsonFile(config, 5009));
    for (const char *name : {"bos_token", "eos_token", "unk_token", "pad_token",
                             "sep_token", "cls_token", "mask_token"}) {
      const Json *token = findMember(root, name);
      const std::string *text = asString(token);
      if (!text && token)
        text = asString(findMember(*token, "content"));
      if (text)
        result.specialTokens_[name] = *text;
    }
  }
  const Json *listed = findMember(root, "chat_template");
  if (file || fs::exists(own, failure)) {
    HADAL_ASSIGN_OR_RETURN(result.plain_, readTemplate(file.value_or(own)));
  } else if (const std::string *source = asString(listed)) {
    HADAL_ASSIGN_OR_RETURN(
        result.plain_, Template::parse(*source, config + ": chat_template"));
  } else if (listed && listed->is_array()) {
    for (const Json &entry : *listed)
      HADAL_RETURN_IF_ERROR(
          readNamed(entry, config, result.plain_, result.withTools_));
  }
  if (!result.plain_)
    return error(5025,
                 "'{}' has no chat template: neither chat_template.jinja nor a "
                 "chat_template \"default\" in tokenizer_config.json; name a "
                 "file by --chat-template",
                 directory);
  return result;
}

StatusOr<std::vector<TextPiece>> ChatTemplate::render(RenderInput input) const {
  input.specialTokens = specialTokens_;
  const bool hasTools = !input.tools.is_null();
  return (hasTools && withTools_ ? *withTools_ : *plain_).render(input);
}

StatusOr<OrderedJson> normalizeMessages(OrderedJson messages) {
  if (!messages.is_array() || messages.empty())
    return error(5005, "messages: expected a list of at least one message");
  for (size_t i = 0; i < messages.size(); ++i) {
    OrderedJson &message = messages[i];
    if (!message.is_object())
      return failAt(i, ": expected an object");
    if (!message.contains("role") || !message["role"].is_string())
      return failAt(i, ".role: expected a string");
    if (!message.contains("content"))
      message["content"] = nullptr;
    OrderedJson &content = message["content"];
    if (content.is_array()) {
      HADAL_ASSIGN_OR_RETURN(std::string text, joinParts(content, i));
      content = std::move(text);
    } else if (!content.is_string() && !content.is_null()) {
      return failAt(i, ".content: expected a string, null or a list of parts");
    }
    if (message.contains("reasoning") &&
        !message.contains("reasoning_content")) {
      OrderedJson reasoning = std::move(message["reasoning"]);
      message.erase("reasoning");
      message["reasoning_content"] = std::move(reasoning);
    }
    if (message.contains("tool_calls") && message["tool_calls"].is_null())
      message.erase("tool_calls");
  }
  return messages;
}

std::string textOf(std::span<const TextPiece> pieces) {
  std::string text;
  for (const TextPiece &piece : pieces)
    text += piece.text;
  return text;
}

} // namespace hadal::chat
