// What the page knows of the API, without a document: bodies of requests, the
// events of a stream, and what an answer gathers from them.

/// The data of a stream's events. The stream may be cut anywhere, inside a line
/// end as well.
export class EventReader {
  #rest = "";
  #data = [];

  /// Takes the next characters; returns the data of the events they complete.
  push(text) {
    this.#rest += text;
    const events = [];
    for (;;) {
      const end = this.#rest.search(/[\r\n]/);
      // A \r at the very end may be half of a \r\n.
      if (end < 0 || this.#rest[end] === "\r" && end + 1 === this.#rest.length) return events;
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + (this.#rest.startsWith("\r\n", end) ? 2 : 1));
      if (line === "") {
        if (this.#data.length) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
  }
}

/// The sentence of an error body of the API, or |otherwise|.
export function describeError(body, otherwise) {
  const error = body?.error;
  if (!error?.message) return otherwise;
  return error.code ? `${error.code}: ${error.message}` : error.message;
}

export function newAnswer() {
  return {role: "assistant", content: "", reasoning: "", finish: null, tokens: 0, done: false};
}

/// Adds an event's data to |answer|. Returns what text came: {content, reasoning}.
/// Throws what an error event says.
export function addEvent(answer, data) {
  const added = {content: "", reasoning: ""};
  if (data === "[DONE]") {
    answer.done = true;
    return added;
  }
  const chunk = JSON.parse(data);
  if (chunk.error) throw new Error(describeError(chunk, "the server reports an error"));
  for (const choice of chunk.choices ?? []) {
    added.content += choice.delta?.content ?? choice.text ?? "";
    added.reasoning += choice.delta?.reasoning_content ?? choice.delta?.reasoning ?? "";
    answer.tokens += choice.token_ids?.length ?? 0;
    answer.finish = choice.finish_reason ?? answer.finish;
  }
  if (chunk.usage) answer.tokens = chunk.usage.completion_tokens;
  answer.content += added.content;
  answer.reasoning += added.reasoning;
  return added;
}

/// |turns| as the API's messages. What was reasoned is not sent back: templates
/// leave it out of earlier turns.
export function toMessages(system, turns) {
  const messages = turns.map(({role, content}) => ({role, content}));
  return system ? [{role: "system", content: system}, ...messages] : messages;
}

/// The request for the next answer: {path, body}. |settings|: model, mode,
/// system, temperature, maxTokens; an empty one leaves the server's default.
export function makeRequest(settings, turns) {
  const body = {model: settings.model, stream: true, stream_options: {include_usage: true},
                return_token_ids: true};
  if (settings.temperature !== "") body.temperature = Number(settings.temperature);
  if (settings.maxTokens !== "") body.max_tokens = Number(settings.maxTokens);
  if (settings.mode === "text")
    return {path: "v1/completions", body: {...body, prompt: turns[turns.length - 1].content}};
  return {path: "v1/chat/completions", body: {...body, messages: toMessages(settings.system, turns)}};
}

/// Speed of an answer whose first text came |first| and last |last| ms after it
/// was asked for: the first token's time is the prompt's, so it does not count.
export function formatRate(tokens, first, last) {
  if (!tokens || first === null) return "";
  const rate = last > first && tokens > 1 ? `, ${((tokens - 1) * 1000 / (last - first)).toFixed(1)} tokens/s` : "";
  return `${tokens} tokens, first after ${(first / 1000).toFixed(2)} s${rate}`;
}

/// The conversation as the body of a request that would go on with it.
export function exportConversation(settings, turns) {
  const kept = {model: settings.model, messages: toMessages(settings.system, turns)};
  if (settings.temperature !== "") kept.temperature = Number(settings.temperature);
  return JSON.stringify(kept, null, 2) + "\n";
}
