// The page of hadal-serve. What a model or a server says reaches the document
// as text nodes alone. The key stays in its field: nothing is stored.
import {EventReader, addEvent, describeError, exportConversation, formatRate, makeRequest,
        newAnswer} from "./chat.mjs";

const at = id => document.getElementById(id);
const turns = [];
let model = "";
let running = null; // the AbortController of the answer under way

function settings() {
  return {model, mode: at("mode").value, system: at("system").value,
          temperature: at("temperature").value, maxTokens: at("max-tokens").value};
}

function headers() {
  const key = at("key").value;
  return {"Content-Type": "application/json", ...(key && {Authorization: `Bearer ${key}`})};
}

function say(text, isWrong = false) {
  at("state").textContent = text;
  at("state").classList.toggle("wrong", isWrong);
}

function element(parent, tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  made.append(document.createTextNode(text));
  parent.append(made);
  return made;
}

/// Shows a turn; add() appends to its text, note() stands below it.
function showTurn(role, text) {
  const box = element(at("turns"), "section", `turn ${role}`);
  element(box, "h2", "", role === "user" ? "You" : model || "Model");
  let reasoning = null;
  const content = element(box, "p", "content", text);
  const note = element(box, "p", "note");
  return {
    box,
    add(added) {
      if (added.reasoning && !reasoning) {
        const fold = document.createElement("details");
        fold.className = "reasoning";
        element(fold, "summary", "", "Reasoning");
        reasoning = element(fold, "p", "");
        box.insertBefore(fold, content);
      }
      if (added.reasoning) reasoning.firstChild.appendData(added.reasoning);
      content.firstChild.appendData(added.content);
    },
    note(said) { note.textContent = said; },
  };
}

async function errorOf(response) {
  const otherwise = `the server answers ${response.status}`;
  return describeError(await response.json().catch(() => null), otherwise);
}

/// Reads the stream into |answer|; onText is told what came.
async function readStream(response, answer, onText) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const events = new EventReader();
  for (;;) {
    const {value, done} = await reader.read();
    if (done) break;
    for (const data of events.push(value)) onText(addEvent(answer, data));
  }
  if (!answer.done) throw new Error("the connection ended inside the answer");
}

const endings = {stop: "", length: "ended: tokens at most, or the context, reached",
                 abort: "ended by the server", error: "ended by an error"};

async function send() {
  const text = at("message").value;
  if (running || text === "") return;
  running = new AbortController();
  at("send").disabled = true;
  at("stop").disabled = false;
  at("message").value = "";
  const asked = showTurn("user", text), answer = newAnswer(), shown = showTurn("assistant", "");
  turns.push({role: "user", content: text});
  const toEnd = () => scrollTo(0, document.documentElement.scrollHeight);
  toEnd();
  const begun = performance.now();
  let first = null;
  const rate = () => formatRate(answer.tokens, first, performance.now() - begun);
  try {
    const {path, body} = makeRequest(settings(), turns);
    const response = await fetch(path, {method: "POST", headers: headers(),
                                        body: JSON.stringify(body), signal: running.signal});
    if (!response.ok) throw new Error(await errorOf(response));
    await readStream(response, answer, added => {
      if (answer.tokens && first === null) first = performance.now() - begun;
      const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
      shown.add(added);
      at("rate").textContent = rate();
      if (atEnd) toEnd();
    });
    shown.note(endings[answer.finish] ?? "");
    say(model);
  } catch (error) {
    const isStop = error.name === "AbortError";
    shown.note(isStop ? "stopped" : error.message);
    if (!isStop) say(error.message, true);
  }
  if (answer.content || answer.reasoning || answer.done) {
    turns.push(answer);
  } else {
    // Nothing came: the message goes back to be sent again.
    turns.pop();
    asked.box.remove();
    shown.box.remove();
    at("message").value ||= text;
  }
  running = null;
  at("send").disabled = false;
  at("stop").disabled = true;
}

function exportFile() {
  const file = new Blob([exportConversation(settings(), turns)], {type: "application/json"});
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = "conversation.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

function clear() {
  running?.abort();
  turns.length = 0;
  at("turns").replaceChildren();
  at("rate").textContent = "";
}

/// Asks for the model until there is one: the server listens before it has
/// loaded.
async function findModel() {
  let said = "the server does not answer";
  try {
    const response = await fetch("v1/models", {headers: headers()});
    if (response.ok) {
      model = (await response.json()).data[0].id;
      return say(model);
    }
    said = await errorOf(response);
    if (response.status === 401) at("settings").open = true;
  } catch { /* said already tells */ }
  say(said, true);
  setTimeout(findModel, 2000);
}

at("composer").addEventListener("submit", event => {
  event.preventDefault();
  send();
});
at("message").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
at("stop").addEventListener("click", () => running?.abort());
at("export").addEventListener("click", exportFile);
at("clear").addEventListener("click", clear);
findModel();
