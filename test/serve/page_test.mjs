// The pure parts of hadal-serve's page, in node: node --test page_test.mjs
import assert from "node:assert/strict";
import test from "node:test";

import {EventReader, addEvent, describeError, exportConversation, formatRate, makeRequest, newAnswer}
  from "../../tools/hadal-serve/page/chat.mjs";

const stream = ": keep-alive\n\ndata: {\"a\":1}\n\nevent: x\r\ndata:one\r\ndata: two\r\n\r\nid: 7\n\ndata: [DONE]\n\n";

test("events are the same wherever the stream is cut", () => {
  const whole = new EventReader().push(stream);
  assert.deepEqual(whole, ["{\"a\":1}", "one\ntwo", "[DONE]"]);
  for (let i = 0; i <= stream.length; i++)
    for (let j = i; j <= stream.length; j++) {
      const reader = new EventReader();
      const parts = [stream.slice(0, i), stream.slice(i, j), stream.slice(j)];
      assert.deepEqual(parts.flatMap(part => reader.push(part)), whole, `cut at ${i} and ${j}`);
    }
});

test("an event that is not ended is not given", () => {
  assert.deepEqual(new EventReader().push("data: {\"half\": 1}\n"), []);
});

test("an answer gathers text, reasoning under both names, ids and the end", () => {
  const answer = newAnswer();
  const chunks = [
    {choices: [{delta: {role: "assistant", content: ""}}]},
    {choices: [{delta: {reasoning_content: "a", reasoning: "a"}, token_ids: [1]}]},
    {choices: [{delta: {reasoning: "b"}, token_ids: [2]}]},
    {choices: [{delta: {content: "c"}, token_ids: [3, 4], finish_reason: null}]},
    {choices: [{delta: {}, finish_reason: "length"}]}];
  for (const chunk of chunks) addEvent(answer, JSON.stringify(chunk));
  assert.deepEqual(answer, {role: "assistant", content: "c", reasoning: "ab", finish: "length", tokens: 4, done: false});
  addEvent(answer, JSON.stringify({choices: [], usage: {completion_tokens: 5}}));
  addEvent(answer, "[DONE]");
  assert.equal(answer.tokens, 5);
  assert.equal(answer.done, true);
});

test("text completions, and an error inside the stream", () => {
  const answer = newAnswer();
  assert.equal(addEvent(answer, JSON.stringify({choices: [{text: "x"}]})).content, "x");
  assert.throws(() => addEvent(answer, JSON.stringify({error: {message: "the call failed", code: "H5017"}})),
                /^Error: H5017: the call failed$/);
  assert.equal(describeError(null, "answers 502"), "answers 502");
});

test("requests leave out what is empty, and reasoning of earlier turns", () => {
  const settings = {model: "m", mode: "chat", system: "s", temperature: "", maxTokens: "5"};
  const turns = [{role: "user", content: "u"}, {...newAnswer(), content: "c", reasoning: "r"}, {role: "user", content: "v"}];
  const {path, body} = makeRequest(settings, turns);
  assert.equal(path, "v1/chat/completions");
  assert.deepEqual(body.messages, [{role: "system", content: "s"}, {role: "user", content: "u"},
                                   {role: "assistant", content: "c"}, {role: "user", content: "v"}]);
  assert.equal(body.max_tokens, 5);
  assert.ok(!("temperature" in body));
  const text = makeRequest({...settings, mode: "text", temperature: "0"}, turns);
  assert.deepEqual([text.path, text.body.prompt, text.body.temperature], ["v1/completions", "v", 0]);
});

test("an export is a request", () => {
  const exported = exportConversation({model: "m", system: "", temperature: "0.5"}, [{role: "user", content: "<b>"}]);
  assert.deepEqual(JSON.parse(exported), {model: "m", messages: [{role: "user", content: "<b>"}], temperature: 0.5});
});

test("speed leaves out the prompt", () => {
  assert.equal(formatRate(11, 500, 1500), "11 tokens, first after 0.50 s, 10.0 tokens/s");
  assert.equal(formatRate(1, 500, 500), "1 tokens, first after 0.50 s");
  assert.equal(formatRate(0, null, 9), "");
});
