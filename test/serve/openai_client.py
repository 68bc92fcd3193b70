#!/usr/bin/env python3
"""hadal-serve through the openai package's client, which nobody here wrote; is
skipped (77) where it is not installed.

    openai_client.py BIN_DIR SOURCE_DIR WORK_DIR [--compile BIN]

The client validates what it gets by its own types: whole answers, streams, logprobs,
several choices, the end of a stream with usage, and errors as its exceptions.
"""
import asyncio
import hashlib
import sys

from client import get
from load import Place, parse_place

SKIPPED = 77
PROMPT = "In the beginning"


def check(wrong, what, holds):
    if not holds:
        wrong.append(what)


async def completions(client, model):
    wrong = []
    whole = await client.completions.create(
        model=model, prompt=PROMPT, max_tokens=12, temperature=0, logprobs=2)
    choice = whole.choices[0]
    check(wrong, "a whole answer", choice.text and choice.finish_reason == "length"
          and whole.usage.completion_tokens == 12 and len(choice.logprobs.tokens) == 12
          and "".join(choice.logprobs.tokens) == choice.text
          and all(len(top) == 2 for top in choice.logprobs.top_logprobs))
    text, usage, ends = "", None, []
    stream = await client.completions.create(
        model=model, prompt=PROMPT, max_tokens=12, temperature=0, stream=True,
        stream_options={"include_usage": True})
    async for chunk in stream:
        usage = chunk.usage or usage
        for piece in chunk.choices:
            text += piece.text
            ends += [piece.finish_reason] if piece.finish_reason else []
    check(wrong, f"a stream: {text!r} {usage} {ends}", text == choice.text
          and usage.completion_tokens == 12 and ends == ["length"])
    several = await client.completions.create(
        model=model, prompt=[PROMPT, "And"], n=2, max_tokens=4, temperature=1, seed=3,
        extra_body={"min_p": 0.02})
    check(wrong, "two prompts of two choices",
          [c.index for c in several.choices] == [0, 1, 2, 3])
    ids = await client.completions.create(model=model, prompt=[5, 6, 7], max_tokens=1, echo=True)
    check(wrong, "ids", ids.usage.prompt_tokens == 3)
    stopped = await client.completions.create(
        model=model, prompt=PROMPT, max_tokens=12, temperature=0, stop=choice.text[3:6])
    check(wrong, "a stop string", stopped.choices[0].finish_reason == "stop"
          and stopped.choices[0].text == choice.text[:choice.text.index(choice.text[3:6])])
    return wrong


async def chats(client, model):
    wrong = []
    messages = [{"role": "user", "content": "who made the earth?"}]
    whole = await client.chat.completions.create(
        model=model, messages=messages, max_tokens=12, temperature=0, logprobs=True,
        top_logprobs=2)
    choice = whole.choices[0]
    check(wrong, f"a chat: {choice}", choice.message.role == "assistant"
          and choice.message.content and choice.finish_reason in ("stop", "length")
          and len(choice.logprobs.content) == whole.usage.completion_tokens)
    text, roles = "", []
    stream = await client.chat.completions.create(
        model=model, messages=messages, max_completion_tokens=12, temperature=0, stream=True)
    async for chunk in stream:
        delta = chunk.choices[0].delta
        roles += [delta.role] if delta.role else []
        text += delta.content or ""
    check(wrong, f"a chat as a stream: {roles} {text!r}",
          text == choice.message.content and roles == ["assistant"])
    return wrong


async def errors(openai, client, model, refused):
    wrong = []

    async def expect(kind, what, call, **fields):
        try:
            await call
        except kind as error:
            for name, value in fields.items():
                check(wrong, f"{what}: {name} is {getattr(error, name)!r}, expected {value!r}",
                      getattr(error, name) == value)
        else:
            wrong.append(f"{what}: no {kind.__name__}")

    ask = client.completions.create
    await expect(openai.BadRequestError, "a temperature of 9",
                 ask(model=model, prompt=PROMPT, temperature=9), param="temperature", code="H5028")
    await expect(openai.NotFoundError, "a model that is not there",
                 ask(model="none", prompt=PROMPT), status_code=404)
    await expect(openai.BadRequestError, "a prompt beyond the context",
                 ask(model=model, prompt=[5] * 600), status_code=400)
    await expect(openai.AuthenticationError, "no key", refused.models.list(), status_code=401)
    return wrong


async def run(openai, place):
    keys = place.artifact.parent / "keys"
    keys.write_text(f"tester:{hashlib.sha256(b'secret').hexdigest()}\n")
    async with place.server("--api-key-file", str(keys)) as server:
        base = f"http://127.0.0.1:{server.port}/v1"
        # It repeats 429 and 5xx on its own.
        client = openai.AsyncOpenAI(base_url=base, api_key="secret", max_retries=0)
        refused = openai.AsyncOpenAI(base_url=base, api_key="wrong", max_retries=0)
        models = [model.id async for model in client.models.list()]
        wrong = [] if models == ["tiny"] else [f"models {models}"]
        wrong += await completions(client, models[0])
        wrong += await chats(client, models[0])
        wrong += await errors(openai, client, models[0], refused)
        if (await get(server.port, "/metrics"))[0] != 401:
            wrong.append("/metrics needs no key")
        await client.close()
        await refused.close()
    return wrong


def main():
    args = parse_place(__doc__).parse_args()
    try:
        import openai
    except ImportError:
        print("openai_client: skipped, the package openai is not installed")
        return SKIPPED
    wrong = asyncio.run(run(openai, Place(args)))
    print("\n".join(wrong))
    print(f"openai_client: openai {openai.__version__}, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
