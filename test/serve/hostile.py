"""Clients that hadal-serve has to survive: the parts mutated, smuggling and slow of
load.py."""
import asyncio
import json
import random
import time

from client import Broken, complete, exchange, get, read_head, render

BODY = {"prompt": "In the beginning", "max_tokens": 2, "temperature": 0.5, "top_p": 0.9,
        "top_k": 5, "min_p": 0.1, "seed": 7, "n": 1, "stop": ["x"], "stop_token_ids": [5],
        "logprobs": 1, "logit_bias": {"7": 1.5}, "presence_penalty": 0.5,
        "frequency_penalty": 0.5, "repetition_penalty": 1.1, "min_tokens": 1,
        "stream": False, "ignore_eos": True, "skip_special_tokens": True, "priority": 0,
        "include_stop_str_in_output": False, "cache_salt": "s", "return_token_ids": True,
        "echo": False, "user": "u", "unknown_field": {"a": [1]}}

# Values that are wrong for every field of the name, which the answer must give.
OUT_OF_RANGE = {
    "max_tokens": [-1, 1.5, 2**63, "1", [], {}], "min_tokens": [-1, 1.5, 2**63, True],
    "temperature": [-1, 2.5, "1", 2**63], "top_p": [0, -1, 1.5, []], "top_k": [-2, 1.5, 2**63],
    "min_p": [-1, 1.5, {}], "seed": [1.5, 2**64, "x"], "n": [0, -1, 1.5, 2**31, 2**63],
    "stop": [1, [1], [""], ["x"] * 17, "y" * 257], "stop_token_ids": [-1, [-1], [2**31], [1.5]],
    "logprobs": [-1, 1.5, 2**31, "x"], "logit_bias": [[], {"x": 1}, {"-1": 1}, {"7": "a"},
                                                      {"99999999": 1}, {"7": 101}],
    "presence_penalty": [-2.5, 2.5, "1"], "frequency_penalty": [-2.5, 2.5, []],
    "repetition_penalty": [0, -1, 2.5], "stream": [1, "true"], "ignore_eos": [0, "no"],
    "priority": [1.5, 2**31, "high"], "prompt": [1, True, {}, [], [[]], [-1], [2**31], [1.5]],
    "cache_salt": [1, []], "echo": ["yes"], "stream_options": [1, []]}


def damage(rng, text):
    """|text| with a byte changed, removed, doubled, or a piece moved."""
    data, kind = bytearray(text), rng.randrange(6)
    at, to = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    if kind == 0:
        data[at] = rng.randrange(256)
    elif kind == 1:
        del data[at:at + rng.randrange(1, 8)]
    elif kind == 2:
        data[at:at] = data[at:to][:64]
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        data[at:at] = rng.choice([b"[" * 64, b"{\"a\":" * 40, b"\\u0000", b"\\ud800", b"\xff",
                                  b"1e999", b"-", b"99999999999999999999", b"null"])
    else:
        data[at:at] = bytes(data[to:to + 16])
    return bytes(data)


def replace(rng):
    """BODY with another value in one field."""
    field = rng.choice(sorted(BODY))
    value = rng.choice([None, -1, 0, 1.5, 2**31, 2**63, -2**63, 1e300, "", "x", [], {}, True,
                        [None], [[]], {"": 0}])
    # Answers stay short.
    return json.dumps({**BODY, field: value, **({} if field == "max_tokens" else {"max_tokens": 2})}
                      ).encode()


async def mutated(place, counts):
    wrong, seen = [], {}
    rng = random.Random(place.seed)
    text = json.dumps(BODY).encode()

    async def judge(port, data):
        status, headers, body = await exchange(port, render("POST", "/v1/completions", data))
        seen[status] = seen.get(status, 0) + 1
        if status != 200 and not 400 <= status < 500:
            wrong.append(f"{status} for {data[:300]}: {body[:300]}")
        elif status != 200 and not json.loads(body)["error"]["message"]:
            wrong.append(f"{status} says nothing for {data[:300]}")

    async with place.server("--max-queue", "1000", "--default-max-tokens", "4") as server:
        bodies = [replace(rng) if i % 2 else damage(rng, text) for i in range(counts.mutations)]
        bodies = iter(bodies)

        async def worker():
            for data in bodies:
                await judge(server.port, data)

        await asyncio.gather(*(worker() for _ in range(8)))
        for field, values in OUT_OF_RANGE.items():
            for value in values:
                answer = await complete(server.port, {**BODY, "stream": False, field: value})
                error = answer.error or {}
                if answer.status != 400 or field not in (error.get("message") or "") \
                        or error.get("param") != field or error.get("code") is None:
                    wrong.append(f"{field} = {str(value)[:60]}: {answer.status} {error}")
        if (await complete(server.port, BODY)).status != 200:
            wrong.append("the server does not answer behind them")
        for status in (200, 400):
            if not seen.get(status):
                wrong.append(f"no body gave {status}: the mutations are of no use")
    count = sum(map(len, OUT_OF_RANGE.values()))
    return wrong, f"{counts.mutations} bodies {seen}, {count} values out of range"


GOOD = render("POST", "/v1/completions", {"prompt": "a", "max_tokens": 1})
HEAD, _, CONTENT = GOOD.partition(b"\r\n\r\n")
LENGTH = b"Content-Length: %d" % len(CONTENT)

# name -> (bytes, statuses that are right)
AMBIGUOUS = {
    "chunked": (HEAD.replace(LENGTH, b"Transfer-Encoding: chunked") + b"\r\n\r\n0\r\n\r\n", {400, 411}),
    "chunked in HTTP/1.0": (HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")
                            .replace(LENGTH, b"Transfer-Encoding: chunked") + b"\r\n\r\n0\r\n\r\n",
                            {400, 411}),
    "chunked and a length": (HEAD + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + CONTENT, {400}),
    "an unknown encoding": (HEAD + b"\r\nTransfer-Encoding: xchunked\r\n\r\n" + CONTENT, {400}),
    "two lengths": (HEAD + b"\r\nContent-Length: 3\r\n\r\n" + CONTENT, {400, 411}),
    "a list as length": (HEAD.replace(LENGTH, LENGTH + b", %d" % len(CONTENT)) + b"\r\n\r\n" + CONTENT,
                         {400, 411}),
    "a signed length": (HEAD.replace(b"Length: ", b"Length: +") + b"\r\n\r\n" + CONTENT, {400, 411}),
    "a length of 2^64": (HEAD.replace(LENGTH, b"Content-Length: 18446744073709551617") + b"\r\n\r\n"
                         + CONTENT, {400, 411, 413}),
    "no length": (HEAD.replace(b"\r\n" + LENGTH, b"") + b"\r\n\r\n" + CONTENT, {411}),
    "a space before the colon": (HEAD.replace(b"Length:", b"Length :") + b"\r\n\r\n" + CONTENT,
                                 {400, 411}),
    "a folded field": (HEAD + b"\r\nX: a\r\n b\r\n\r\n" + CONTENT, {200, 400}),
    "no host": (HEAD.replace(b"Host: test\r\n", b"") + b"\r\n\r\n" + CONTENT, {400}),
    "two hosts": (HEAD + b"\r\nHost: other\r\n\r\n" + CONTENT, {400}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "a byte 0": (HEAD + b"\r\nX: a\0b\r\n\r\n" + CONTENT, {400}),
    "a method": (GOOD.replace(b"POST", b"PUT"), {405}),
    "a path": (GOOD.replace(b"/v1/completions", b"/v1/../metrics"), {400, 404}),
}


async def smuggling(place, counts):
    wrong = []
    async with place.server() as server:
        for name, (data, right) in AMBIGUOUS.items():
            # What follows must not be taken for a request of its own.
            smuggled = data + b"GET /version HTTP/1.1\r\nHost: test\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(smuggled)
            status, _ = await asyncio.wait_for(read_head(reader), 20)
            if status not in right:
                wrong.append(f"{name}: {status}, expected {right}")
            rest = b""
            if status != 200 and status not in (404, 405):
                rest = await asyncio.wait_for(reader.read(), 20)
            if b"HTTP/1.1 200" in rest:
                wrong.append(f"{name}: refused, and what followed was answered")
            writer.close()
        # The same request in pieces of one byte, and two in one piece.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in GOOD:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(GOOD)
        for _ in range(2):
            status, headers = await asyncio.wait_for(read_head(reader), 20)
            await reader.readexactly(int(headers["content-length"]))
            if status != 200:
                wrong.append(f"bytes one by one, then a second request: {status}")
        writer.close()
    return wrong, f"{len(AMBIGUOUS)} requests"


async def slowloris(port):
    """A byte a second; how long until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.monotonic()

    async def feed():
        for byte in GOOD * 10:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)

    feeder = asyncio.create_task(feed())
    try:
        await asyncio.wait_for(reader.read(), 60)
    except OSError:
        pass
    feeder.cancel()
    await asyncio.gather(feeder, return_exceptions=True)
    writer.close()
    return time.monotonic() - begun


async def too_much(port, what):
    """Sends |what| until the server refuses: the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = asyncio.create_task(read_head(reader))
    try:
        for data in what:
            writer.write(data)
            await writer.drain()
            if head.done():
                break
        return (await asyncio.wait_for(head, 20))[0]
    except (OSError, asyncio.IncompleteReadError):
        return "reset"
    finally:
        head.cancel()
        writer.close()


async def slow(place, counts):
    wrong = []
    body = {"prompt": "In the beginning", "max_tokens": 24, "temperature": 0}
    async with place.server() as server:
        async def seconds():
            times = []
            for _ in range(30):
                begun = time.monotonic()
                await complete(server.port, body)
                times.append(time.monotonic() - begun)
            return sorted(times)[15]

        await seconds()
        before, memory = await seconds(), server.memory()
        clients = [asyncio.create_task(slowloris(server.port)) for _ in range(counts.slow)]
        await asyncio.sleep(0.5)
        beside = await seconds()
        headers = b"".join(b"X-%d: y\r\n" % i for i in range(100000))
        status = await too_much(server.port, [b"GET / HTTP/1.1\r\nHost: a\r\n", headers])
        if status != 431:
            wrong.append(f"100 000 headers: {status}")
        status = await too_much(server.port, [
            b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n",
            *[b"x" * (1 << 20)] * 950])
        if status != 413:
            wrong.append(f"a body of 1 GB: {status}")
        grown = (server.memory() - memory) / 2**20
        lived = await asyncio.gather(*clients)
        if not 8 < min(lived) <= max(lived) < 13:
            wrong.append(f"slow heads are ended after {min(lived):.1f} to {max(lived):.1f} s, "
                         "expected 10")
        if grown > 32:
            wrong.append(f"memory grew by {grown:.0f} MiB")
        # A machine that is busy otherwise may say more in a short run.
        if beside > before * (1.2 if counts.long else 3):
            wrong.append(f"others take {beside / before:.2f} x as long")
        if (await get(server.port, "/health"))[0] != 200:
            raise Broken("/health fails")
    return wrong, (f"{counts.slow} clients ended after {max(lived):.1f} s, others "
                   f"{beside / before:.2f} x as long, memory + {grown:.1f} MiB")
