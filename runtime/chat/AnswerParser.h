// What a model has written, taken apart: reasoning, content, calls of tools.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/TextPiece.h"

namespace hadal::chat {

enum class ToolFormat : uint8_t {
  None,
  DeepSeekV3,  // and R1: type, separator, name, line end, fenced JSON
  DeepSeekV31, // name, separator, JSON
  KimiK2,      // functions.NAME:INDEX, argument marker, JSON
};

/// How the answers of a model are written.
struct AnswerFormat {
  ToolFormat tools = ToolFormat::None;
  /// Reasoning stands between <think> and </think>.
  bool hasReasoning = false;
};

/// By the markers in the source of a chat template.
AnswerFormat formatOf(std::string_view templateSource);
/// "none", "deepseek_v3", "deepseek_v31", "kimi_k2": the words of
/// --tool-parser.
std::optional<ToolFormat> toolFormatNamed(std::string_view name);

/// Whether a rendered prompt ends in an open <think> of its template, so that
/// the answer begins inside of its reasoning.
bool endsInReasoning(std::span<const TextPiece> prompt);

struct ToolCall {
  std::string id; ///< as the model wrote it; empty where its format has none
  std::string name;
  std::string arguments; ///< JSON, as the model wrote it

  bool operator==(const ToolCall &) const = default;
};

struct AnswerDelta {
  std::string reasoning, content;
  std::vector<ToolCall> calls; ///< behind those of earlier deltas

  bool empty() const {
    return reasoning.empty() && content.empty() && calls.empty();
  }
};

/// Reads one answer in parts of any size: whole characters, with the spelling
/// of special tokens, but without the end-of-sequence token. However it is cut,
/// the deltas concatenate to the same. A call is told when it is complete; one
/// that is malformed or cut off is content, with its markers and all behind it.
class AnswerParser {
public:
  AnswerParser(AnswerFormat format, bool startsInReasoning);

  AnswerDelta push(std::string_view text);
  /// The rest, at the end of the answer.
  AnswerDelta finish();

private:
  enum class State : uint8_t {
    Start,     // only white space so far: reasoning may begin
    Reasoning, // up to its end marker
    Content,
    Section, // of calls, between two of them
    Call,    // in one, up to its end marker
  };
  bool advance(AnswerDelta &delta, bool isLast);
  bool advanceText(AnswerDelta &delta, bool isLast);
  bool advanceSection(AnswerDelta &delta, bool isLast);
  bool advanceCall(AnswerDelta &delta, bool isLast);
  void giveUp(AnswerDelta &delta);

  AnswerFormat format_;
  State state_;
  std::string pending_; // not told yet
  size_t begun_ = 0;    // of it, what is the markers before a call
  size_t searched_ = 0; // of it, where no end of the call begins
};

} // namespace hadal::chat
