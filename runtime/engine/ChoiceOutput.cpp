#include "runtime/engine/ChoiceOutput.h"

#include <algorithm>
#include <limits>

namespace hadal::engine {

ChoiceOutput::ChoiceOutput(const Request &request, const Tokenizer *tokenizer,
                           const OutputLimits &limits)
    : request_(request), tokenizer_(tokenizer), limits_(limits),
      matcher_(request.stopStrings) {
  if (tokenizer)
    decoder_.emplace(*tokenizer, request.skipSpecial);
}

bool ChoiceOutput::endsAt(int32_t token) {
  if (std::ranges::find(request_.stopTokens, token) !=
      request_.stopTokens.end()) {
    delta_.stop = token;
    return true;
  }
  return !request_.ignoreEos &&
         std::ranges::binary_search(limits_.eosTokens, token);
}

bool ChoiceOutput::emit(std::string_view text) {
  decoded_ += text.size();
  StopMatcher::Result result =
      matcher_.push(text, generated_ > request_.sampling.minTokens);
  released_ += result.text.size();
  delta_.text += result.text;
  if (!result.match)
    return false;
  const std::string &stop = request_.stopStrings[*result.match];
  delta_.stop = stop;
  // Tokens that begin in the stop string are not part of the text.
  const uint64_t cut = released_;
  if (request_.includeStop)
    delta_.text += stop;
  else
    while (!waiting_.empty() && waiting_.back().begin >= cut)
      waiting_.pop_back();
  return true;
}

void ChoiceOutput::release(uint64_t decided) {
  for (; !waiting_.empty() && waiting_.front().end <= decided;
       waiting_.pop_front())
    delta_.logprobs.push_back(std::move(waiting_.front().logprobs));
}

FinishReason ChoiceOutput::finishAs(FinishReason reason) {
  delta_.text += matcher_.finish();
  release(std::numeric_limits<uint64_t>::max());
  return delta_.finish = finish_ = reason;
}

FinishReason ChoiceOutput::push(int32_t token,
                                std::optional<PositionLogprobs> logprobs) {
  generated_ += 1;
  delta_.ids.push_back(token);
  const uint64_t begin = decoded_;
  const bool ends = endsAt(token);
  std::string text;
  if (decoder_ && (!ends || request_.includeStop))
    text = decoder_->push(token);
  const bool full = request_.prompt.size() + generated_ > limits_.maxSeqLen;
  const bool last = ends || full || generated_ >= limits_.maxTokens;
  if (decoder_ && last)
    text += decoder_->finish();
  if (logprobs) {
    // The bytes of a character that is not complete come with the next text.
    const bool textComes =
        text.empty() && !last && decoder_ &&
        !tokenizer_->tokenBytes(token).empty() &&
        !(request_.skipSpecial && tokenizer_->isSpecial(token));
    waiting_.push_back(
        {std::move(*logprobs), begin, begin + text.size() + textComes});
  }
  if (emit(text) || ends)
    return finishAs(FinishReason::Stop);
  if (last) {
    delta_.contextFull = generated_ < limits_.maxTokens;
    return finishAs(FinishReason::Length);
  }
  release(released_);
  return FinishReason::None;
}

void ChoiceOutput::end(FinishReason reason, Status status, bool full) {
  if (finish_ != FinishReason::None)
    return;
  if (decoder_ && emit(decoder_->finish())) {
    finishAs(FinishReason::Stop);
    return;
  }
  delta_.status = std::move(status);
  delta_.contextFull = full;
  finishAs(reason);
}

} // namespace hadal::engine
