"""Chats of hadal-serve: the part `chat` of load.py. What a template makes of the
messages is compared with the same text as a plain prompt."""
import json

from client import complete

# Ends in an open <think> where `think` is set.
TEMPLATE = """{%- for m in messages %}{{ m.role }}: {{ m['content'] }}
{% endfor %}{% if tools %}{{ tools | tojson }}
{% endif %}{% if add_generation_prompt %}assistant:{% if think %}<think>{% endif %}{% endif %}"""

MESSAGES = [{"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "who made the earth"}]}]
TEXT = "system: be brief\nuser: who made the earth\n"
PARAMETERS = {"max_tokens": 16, "temperature": 0, "return_token_ids": True}


async def chat(place, counts):
    wrong = []
    file = place.artifact.parent / "template.jinja"
    file.write_text(TEMPLATE)

    def check(what, holds):
        if not holds:
            wrong.append(what)

    async def same(port, what, prompt, **fields):
        """A chat, whole and streamed, and the completion of |prompt|."""
        plain = await complete(port, {**PARAMETERS, "prompt": prompt})
        for stream in (False, True):
            answer = await complete(port, {**PARAMETERS, "messages": MESSAGES, "stream": stream,
                                           **fields}, chat=True)
            check(f"{what}, stream {stream}: {answer.status} {answer.error} "
                  f"{answer.choices}, expected {plain.choices}",
                  answer.choices.get(0) and answer.choices[0].ids == plain.choices[0].ids)
            yield answer, plain.choices[0].text

    async with place.server("--chat-template", str(file)) as server:
        async for answer, text in same(server.port, "a chat", TEXT + "assistant:"):
            check(f"the text {answer.choices[0].text!r}, expected {text!r}",
                  answer.choices[0].text == text and not answer.choices[0].reasoning)
        async for _ in same(server.port, "a message to go on with", TEXT + "assistant: the LORD",
                            messages=MESSAGES + [{"role": "assistant", "content": "the LORD"}],
                            continue_final_message=True):
            pass
        tools = [{"zeta": 1, "alpha": [2]}]
        async for _ in same(server.port, "tools in their order",
                            TEXT + json.dumps(tools) + "\nassistant:", tools=tools):
            pass
        async for answer, text in same(server.port, "reasoning", TEXT + "assistant:<think>",
                                       chat_template_kwargs={"think": True}):
            got = answer.choices[0]
            check(f"reasoning {got.reasoning!r} before {got.text!r}, expected {text!r}",
                  (got.reasoning, got.text) == (text, ""))
        bad = await complete(server.port, {"messages": [{"role": "user", "content": 5}]}, chat=True)
        check(f"a content of 5: {bad.status} {bad.error}",
              bad.status == 400 and bad.error["param"] == "messages")
    async with place.server() as server:
        none = await complete(server.port, {"messages": MESSAGES}, chat=True)
        has = (place.weights / "chat_template.jinja").exists()
        check(f"without a template: {none.status} {none.error}",
              none.status == 200 if has else none.status == 400 and none.error["code"] == "H5025")
    return wrong, "text, continued, tools, reasoning; whole and streamed"
