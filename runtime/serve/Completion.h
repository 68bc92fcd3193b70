// One request for completions, from the prompts to the last event.
#pragma once

#include "runtime/serve/Api.h"

namespace hadal::serve {

/// Lives in Api::running until it has ended. On the I/O thread.
class Completion : public std::enable_shared_from_this<Completion> {
public:
  /// |prompts|: the ids of each; |echoes|: its text, for echo.
  Completion(Api &api, HttpRequest request, std::shared_ptr<Exchange> exchange,
             CompletionBody body, AnswerHead head,
             std::vector<std::vector<int32_t>> prompts,
             std::vector<std::string> echoes);

  /// Submits every prompt; where one is refused, so is all of it.
  void start();

private:
  /// Choice c of prompt p is number p * n + c.
  struct Choice {
    ChoiceText text; ///< of a whole answer what has come so far
    bool ended = false;
    engine::FinishReason finish = engine::FinishReason::None;
    bool begun = false; ///< something of it has been written
    std::optional<chat::AnswerParser> parser;
    uint32_t calls = 0; ///< of tools, so far
  };

  void pump();
  /// What choice |number| has got; empty if nothing.
  std::optional<ChoiceText> take(uint32_t number);
  /// Takes what |text| holds apart, where an answer has parts.
  void readParts(Choice &choice, ChoiceText &text);
  void pumpStream();
  void finishWhole();
  void finishStream(std::string last);
  /// The first failed choice's error, if that is all there will be.
  void fail(const Status &status);
  void cancelAll(const Status &reason);
  void keepAlive();
  void end(const std::string &how);
  /// Finish reasons of the choices, for the log.
  std::string endings() const;
  engine::Usage usage() const;
  bool allEnded() const;

  Api &api;
  const HttpRequest request;
  const std::shared_ptr<Exchange> exchange;
  const CompletionBody body;
  const AnswerHead head;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::string> echoes;
  std::vector<std::shared_ptr<engine::Ticket>> tickets;
  std::vector<Choice> choices;
  const engine::Clock::time_point arrival = engine::Clock::now();
  unsigned status = 200;
  bool streaming = false, done = false;
  bool wrote = false; ///< since the last keep-alive
};

} // namespace hadal::serve
