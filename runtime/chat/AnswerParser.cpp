#include "runtime/chat/AnswerParser.h"

#include <algorithm>
#include <array>

#include "runtime/base/Json.h"

namespace hadal::chat {

namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";
constexpr std::string_view kSpace = " \t\r\n";

struct Markers {
  std::vector<std::string_view> sectionBegin, sectionEnd;
  std::string_view callBegin, separator, callEnd;
};

const Markers &markersOf(ToolFormat format) {
  static const Markers none;
  static const Markers deepSeek = {{"<｜tool▁calls▁begin｜>"},
                                   {"<｜tool▁calls▁end｜>"},
                                   "<｜tool▁call▁begin｜>",
                                   "<｜tool▁sep｜>",
                                   "<｜tool▁call▁end｜>"};
  // Models write the section without its s, too.
  static const Markers kimi = {
      {"<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"},
      {"<|tool_calls_section_end|>", "<|tool_call_section_end|>"},
      "<|tool_call_begin|>",
      "<|tool_call_argument_begin|>",
      "<|tool_call_end|>"};
  switch (format) {
  case ToolFormat::None:
    return none;
  case ToolFormat::DeepSeekV3:
  case ToolFormat::DeepSeekV31:
    return deepSeek;
  case ToolFormat::KimiK2:
    return kimi;
  }
  return none;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos)
    return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

/// Bytes at the end of |text| that begin a marker.
size_t heldBack(std::string_view text,
                std::span<const std::string_view> markers) {
  size_t held = 0;
  for (std::string_view marker : markers)
    for (size_t size = std::min(marker.size() - 1, text.size()); size > held;
         --size)
      if (text.ends_with(marker.substr(0, size)))
        held = size;
  return held;
}

/// What stands between the markers of a call, or nothing if it is malformed.
std::optional<ToolCall> readCall(ToolFormat format, std::string_view text) {
  const std::string_view separator = markersOf(format).separator;
  const size_t at = text.find(separator);
  if (at == std::string_view::npos)
    return std::nullopt;
  std::string_view head = text.substr(0, at);
  std::string_view rest = text.substr(at + separator.size());
  ToolCall call;
  switch (format) {
  case ToolFormat::None:
    return std::nullopt;
  case ToolFormat::DeepSeekV3: {
    const size_t line = rest.find('\n');
    if (line == std::string_view::npos || trimmed(head) != "function")
      return std::nullopt;
    call.name = trimmed(rest.substr(0, line));
    rest = trimmed(rest.substr(line));
    constexpr std::string_view kFence = "```json", kFenceEnd = "```";
    if (!rest.starts_with(kFence) || !rest.ends_with(kFenceEnd) ||
        rest.size() < kFence.size() + kFenceEnd.size())
      return std::nullopt;
    rest.remove_prefix(kFence.size());
    rest.remove_suffix(kFenceEnd.size());
    break;
  }
  case ToolFormat::DeepSeekV31:
    call.name = trimmed(head);
    break;
  case ToolFormat::KimiK2: {
    head = trimmed(head);
    constexpr std::string_view kSpaceOfNames = "functions.";
    const size_t colon = head.rfind(':');
    if (!head.starts_with(kSpaceOfNames) || colon == std::string_view::npos ||
        colon + 1 == head.size() ||
        head.find_first_not_of("0123456789", colon + 1) !=
            std::string_view::npos)
      return std::nullopt;
    call.id = head;
    call.name = head.substr(kSpaceOfNames.size(), colon - kSpaceOfNames.size());
    break;
  }
  }
  call.arguments = trimmed(rest);
  if (call.name.empty() || call.name.find_first_of(kSpace) != std::string::npos)
    return std::nullopt;
  StatusOr<Json> json = parseJson(call.arguments, 5014, "arguments");
  if (!json.ok() || !json->is_object())
    return std::nullopt;
  return call;
}

} // namespace

AnswerFormat formatOf(std::string_view source) {
  const auto has = [&](std::string_view text) {
    return source.find(text) != std::string_view::npos;
  };
  AnswerFormat format;
  format.hasReasoning = has(kThink) || has(kThinkEnd);
  if (has(markersOf(ToolFormat::KimiK2).separator))
    format.tools = ToolFormat::KimiK2;
  else if (has(markersOf(ToolFormat::DeepSeekV3).separator))
    format.tools =
        has("```json") ? ToolFormat::DeepSeekV3 : ToolFormat::DeepSeekV31;
  return format;
}

std::optional<ToolFormat> toolFormatNamed(std::string_view name) {
  static constexpr std::pair<std::string_view, ToolFormat> kNames[] = {
      {"none", ToolFormat::None},
      {"deepseek_v3", ToolFormat::DeepSeekV3},
      {"deepseek_v31", ToolFormat::DeepSeekV31},
      {"kimi_k2", ToolFormat::KimiK2}};
  for (const auto &[each, format] : kNames)
    if (each == name)
      return format;
  return std::nullopt;
}

bool endsInReasoning(std::span<const TextPiece> prompt) {
  return !prompt.empty() && prompt.back().trusted &&
         trimmed(prompt.back().text).ends_with(kThink);
}

AnswerParser::AnswerParser(AnswerFormat format, bool startsInReasoning)
    : format_(format), state_(!format.hasReasoning ? State::Content
                              : startsInReasoning  ? State::Reasoning
                                                   : State::Start) {}

AnswerDelta AnswerParser::push(std::string_view text) {
  AnswerDelta delta;
  pending_ += text;
  while (advance(delta, /*isLast=*/false))
    ;
  return delta;
}

AnswerDelta AnswerParser::finish() {
  AnswerDelta delta;
  while (advance(delta, /*isLast=*/true))
    ;
  return delta;
}

/// One step; false where more text is wanted.
bool AnswerParser::advance(AnswerDelta &delta, bool isLast) {
  switch (state_) {
  case State::Start: {
    const size_t begin =
        std::min(pending_.find_first_not_of(kSpace), pending_.size());
    const std::string_view rest = std::string_view(pending_).substr(begin);
    if (rest.starts_with(kThink)) {
      pending_.erase(0, begin + kThink.size());
      state_ = State::Reasoning;
      return true;
    }
    if (kThink.starts_with(rest) && !isLast)
      return false;
    state_ = State::Content;
    return true;
  }
  case State::Reasoning:
  case State::Content:
    return advanceText(delta, isLast);
  case State::Section:
    return advanceSection(delta, isLast);
  case State::Call:
    return advanceCall(delta, isLast);
  }
  return false;
}

/// Tells what stands before the next marker, or what cannot be one.
bool AnswerParser::advanceText(AnswerDelta &delta, bool isLast) {
  const bool isReasoning = state_ == State::Reasoning;
  std::string &out = isReasoning ? delta.reasoning : delta.content;
  std::vector<std::string_view> markers = markersOf(format_.tools).sectionBegin;
  if (isReasoning) {
    // A call inside of a reasoning ends it, with Kimi's markers alone.
    if (format_.tools != ToolFormat::KimiK2)
      markers.clear();
    markers.push_back(kThinkEnd);
  }
  size_t first = std::string::npos;
  std::string_view found;
  for (std::string_view marker : markers)
    if (size_t at = pending_.find(marker); at < first) {
      first = at;
      found = marker;
    }
  if (first == std::string::npos) {
    const size_t told =
        pending_.size() - (isLast ? 0 : heldBack(pending_, markers));
    out += pending_.substr(0, told);
    pending_.erase(0, told);
    return false;
  }
  out += pending_.substr(0, first);
  pending_.erase(0, first);
  if (found == kThinkEnd) {
    pending_.erase(0, found.size());
    state_ = State::Content;
  } else {
    begun_ = found.size();
    state_ = State::Section;
  }
  return true;
}

/// The text of pending_ up to begun_ are markers, told if no call follows.
bool AnswerParser::advanceSection(AnswerDelta &delta, bool isLast) {
  const Markers &markers = markersOf(format_.tools);
  const size_t begin =
      std::min(pending_.find_first_not_of(kSpace, begun_), pending_.size());
  const std::string_view rest = std::string_view(pending_).substr(begin);
  if (rest.starts_with(markers.callBegin)) {
    searched_ = begin + markers.callBegin.size();
    begun_ = searched_;
    state_ = State::Call;
    return true;
  }
  bool maybe = markers.callBegin.starts_with(rest);
  for (std::string_view end : markers.sectionEnd) {
    // A section that is empty has told nothing.
    if (rest.starts_with(end)) {
      pending_.erase(0, begin + end.size());
      begun_ = 0;
      state_ = State::Content;
      return true;
    }
    maybe |= end.starts_with(rest);
  }
  if (maybe && !isLast)
    return false;
  giveUp(delta);
  return true;
}

bool AnswerParser::advanceCall(AnswerDelta &delta, bool isLast) {
  const std::string_view end = markersOf(format_.tools).callEnd;
  const size_t at = pending_.find(end, searched_);
  if (at == std::string::npos) {
    // The end may have begun.
    searched_ = std::max(begun_, pending_.size() -
                                     std::min(end.size() - 1, pending_.size()));
    if (isLast)
      giveUp(delta);
    return isLast;
  }
  std::optional<ToolCall> call = readCall(
      format_.tools, std::string_view(pending_).substr(begun_, at - begun_));
  if (!call) {
    giveUp(delta);
    return true;
  }
  delta.calls.push_back(std::move(*call));
  pending_.erase(0, at + end.size());
  begun_ = 0;
  state_ = State::Section;
  return true;
}

/// What was taken for calls is content.
void AnswerParser::giveUp(AnswerDelta &delta) {
  delta.content += pending_.substr(0, begun_);
  pending_.erase(0, begun_);
  begun_ = 0;
  state_ = State::Content;
}

} // namespace hadal::chat
