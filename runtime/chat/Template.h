// Chat templates: the part of Jinja that they use, with the meaning that
// transformers gives it (jinja2 with trim_blocks and lstrip_blocks, loop
// controls, its own tojson).
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/Json.h"
#include "runtime/base/Status.h"
#include "runtime/base/TextPiece.h"

namespace hadal::chat {

/// What a template sees.
struct RenderInput {
  /// An array of messages; not looked into here.
  OrderedJson messages = OrderedJson::array();
  /// Null where there are none.
  OrderedJson tools;
  /// Further variables (chat_template_kwargs): an object or null. They replace
  /// no variable of those above and below.
  OrderedJson variables;
  bool addGenerationPrompt = true;
  /// bos_token, eos_token, ...: the only strings beside the template's own that
  /// are trusted.
  std::map<std::string, std::string> specialTokens;
  /// What strftime_now tells; 0: the time of the call.
  std::time_t now = 0;
};

struct TemplateLimits {
  uint64_t steps = 1'000'000;
  /// Of nested brackets, statements and calls of macros.
  unsigned depth = 64;
};

struct Block;

/// A template that has been checked as a whole. Thread-safe.
class Template {
public:
  /// H5025 with line and column: syntax, and everything that is outside the
  /// supported subset. |name| is of messages.
  static StatusOr<Template> parse(std::string_view source,
                                  const std::string &name,
                                  TemplateLimits limits = {});

  /// The text as pieces of alternating origin, none of them empty. H5026: the
  /// template raised an exception, used a value in a way that Python refuses,
  /// or went beyond a limit; a text may have 16 MiB.
  StatusOr<std::vector<TextPiece>> render(const RenderInput &input) const;

  const std::string &source() const { return *source_; }

private:
  std::shared_ptr<const std::string> source_;
  std::shared_ptr<const Block> body_;
  std::string name_;
  TemplateLimits limits_;
};

} // namespace hadal::chat
