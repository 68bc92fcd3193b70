#include "runtime/chat/Template.h"

#include "runtime/chat/Evaluator.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::chat {

StatusOr<Template> Template::parse(std::string_view source,
                                   const std::string &name,
                                   TemplateLimits limits) {
  if (source.size() > kMaxTextBytes)
    return error(5025, "'{}': the template has {} bytes: expected at most {}",
                 name, source.size(), kMaxTextBytes);
  for (size_t at = 0; at < source.size();) {
    const Utf8Character c = decodeUtf8(source.substr(at));
    if (c.state != Utf8Character::Valid)
      return error(5025, "'{}': the template is not UTF-8 at byte {}", name,
                   at);
    at += c.bytes;
  }
  Template result;
  result.name_ = name;
  result.limits_ = limits;
  result.source_ = std::make_shared<const std::string>(source);
  try {
    result.body_ =
        std::make_shared<const Block>(parseTemplate(source, limits.depth));
  } catch (const SyntaxError &failure) {
    return error(5025, "'{}' line {}, column {}: {}", name,
                 failure.position.line, failure.position.column,
                 failure.message);
  } catch (const RenderError &failure) {
    return error(5025, "'{}': {}", name, failure.message);
  }
  return result;
}

StatusOr<std::vector<TextPiece>>
Template::render(const RenderInput &input) const {
  Evaluator evaluator(limits_, input.now ? input.now : std::time(nullptr));
  try {
    if (input.variables.is_object())
      for (const auto &[key, value] : input.variables.items())
        evaluator.define(key, Value::fromJson(value, /*trusted=*/false));
    evaluator.define("messages", Value::fromJson(input.messages, false));
    evaluator.define("tools", Value::fromJson(input.tools, false));
    if (!input.variables.contains("documents"))
      evaluator.define("documents", None{});
    evaluator.define("add_generation_prompt", Value(input.addGenerationPrompt));
    for (const auto &[key, value] : input.specialTokens)
      evaluator.define(key, Text(value, /*trusted=*/true));
    return evaluator.run(*body_).pieces();
  } catch (const RenderError &failure) {
    const Position at = evaluator.position();
    return error(5026, "'{}' line {}, column {}: {}", name_, at.line, at.column,
                 failure.message);
  }
}

} // namespace hadal::chat
