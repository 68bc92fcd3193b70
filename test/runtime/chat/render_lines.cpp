// Renders templates for the comparison with jinja2: reads lines of JSON
// {template, messages, tools, variables, tokens, prompt, now}, writes a line
// {load} or {error} with a message, or {pieces: [[text, trusted], ...]}.
#include <iostream>

#include "runtime/chat/Template.h"

using namespace hadal;

namespace {

OrderedJson answer(const std::string &line) {
  auto request = parseOrderedJson(line, 5014, "stdin");
  if (!request.ok())
    return {{"error", request.status().toString()}};
  auto parsed = chat::Template::parse(
      (*request)["template"].get_ref<const std::string &>(), "template");
  if (!parsed.ok())
    return {{"load", parsed.status().toString()}};
  chat::RenderInput input;
  input.messages = (*request)["messages"];
  input.tools = request->value("tools", OrderedJson());
  input.variables = request->value("variables", OrderedJson());
  input.addGenerationPrompt = request->value("prompt", true);
  input.now = 1'000'000'000;
  for (const auto &[name, text] : (*request)["tokens"].items())
    input.specialTokens[name] = text.get<std::string>();
  auto pieces = parsed->render(input);
  if (!pieces.ok())
    return {{"error", pieces.status().toString()}};
  OrderedJson list = OrderedJson::array();
  for (const TextPiece &piece : *pieces)
    list.push_back({piece.text, piece.trusted});
  return {{"pieces", list}};
}

} // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(line).dump() << "\n" << std::flush;
}
