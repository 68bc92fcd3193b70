"""A client of hadal-serve over plain asyncio sockets, strict in what it takes, and
the server as a process."""
import asyncio
import dataclasses
import json
import pathlib
import re
import signal
import sys


class Broken(Exception):
    """The server did what no server may do."""


@dataclasses.dataclass
class Choice:
    """What all chunks of a choice, or one whole answer, say of it."""
    text: str = ""
    reasoning: str = ""
    ids: list = dataclasses.field(default_factory=list)
    logprobs: list = dataclasses.field(default_factory=list)
    finish: str = None
    stop: object = None

    def add(self, piece, chat):
        if self.finish is not None:
            raise Broken(f"a chunk behind finish_reason {self.finish}: {piece}")
        said = piece.get("delta") or piece.get("message") or {} if chat else piece
        self.text += (said.get("content") if chat else said.get("text")) or ""
        if said.get("reasoning") != said.get("reasoning_content"):
            raise Broken(f"reasoning has two names and two texts: {piece}")
        self.reasoning += said.get("reasoning") or ""
        self.ids += piece.get("token_ids") or []
        logprobs = piece.get("logprobs")
        if logprobs:
            self.logprobs += logprobs.get("content") if chat else list(
                zip(logprobs["tokens"], logprobs["token_logprobs"]))
        self.finish = piece["finish_reason"]
        self.stop = piece.get("stop_reason")


@dataclasses.dataclass
class Answer:
    status: int = 0
    choices: dict = dataclasses.field(default_factory=dict)
    usage: dict = None
    error: dict = None
    headers: dict = dataclasses.field(default_factory=dict)
    complete: bool = False  # not ended by us

    def result(self):
        """What does not depend on how, when or beside whom it was asked for."""
        return [dataclasses.astuple(self.choices[i]) for i in sorted(self.choices)]


class Events:
    """Data of the events of a stream that may be cut anywhere."""

    def __init__(self):
        self.rest = b""

    def push(self, data):
        *blocks, self.rest = (self.rest + data).split(b"\n\n")
        for block in blocks:
            if block.startswith(b": "):  # a comment
                continue
            if not block.startswith(b"data: ") or b"\n" in block:
                raise Broken(f"no event of one data line: {block[:200]}")
            yield block[6:].decode("utf-8")


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *fields = head[:-4].split("\r\n")
    if not re.fullmatch(r"HTTP/1\.[01] [1-5]\d\d .*", status):
        raise Broken(f"no status line: {status!r}")
    headers = {}
    for field in fields:
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    return int(status.split()[1]), headers


async def read_parts(reader, headers):
    """The body as it comes: by chunks, by length, or until the end."""
    if headers.get("transfer-encoding") == "chunked":
        while True:
            line = await reader.readline()
            if not line.endswith(b"\r\n"):
                raise Broken("the connection ended inside an answer")
            size = int(line, 16)
            data = await reader.readexactly(size + 2)
            if data[-2:] != b"\r\n":
                raise Broken("a chunk without its end")
            if not size:
                return
            yield data[:-2]
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while data := await reader.read(1 << 16):
            yield data


def render(method, path, body=None, headers=None):
    """The bytes of a request; |body|: bytes, or what becomes JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


async def exchange(port, data, seconds=60):
    """Writes |data|, reads one answer: (status, headers, body)."""
    async def run():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            status, headers = await read_head(reader)
            return status, headers, b"".join([part async for part in read_parts(reader, headers)])
        finally:
            writer.close()
    return await asyncio.wait_for(run(), seconds)


async def get(port, path, headers=None):
    return await exchange(port, render("GET", path, headers=headers))


async def metric(port, name, **labels):
    """The sum of the samples of |name| that have |labels|."""
    _, _, body = await get(port, "/metrics")
    total, found = 0.0, False
    for line in body.decode().splitlines():
        match = re.fullmatch(r"([a-zA-Z_:]+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name and all(
                f'{key}="{value}"' in (match[2] or "") for key, value in labels.items()):
            total, found = total + float(match[3]), True
    if not found:
        raise Broken(f"/metrics has no {name} {labels}")
    return total


async def complete(port, body, chat=False, events_wanted=None, seconds=120, headers=None):
    """One completion. With |events_wanted| the connection is closed after so many
    events."""
    path = "/v1/chat/completions" if chat else "/v1/completions"
    return await asyncio.wait_for(
        read_completion(port, render("POST", path, body, headers), chat,
                        body.get("stream"), events_wanted), seconds)


async def read_completion(port, data, chat, stream, events_wanted):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = Answer()
    try:
        writer.write(data)
        answer.status, answer.headers = await read_head(reader)
        if answer.status != 200 or not stream:
            whole = json.loads(b"".join(
                [part async for part in read_parts(reader, answer.headers)]))
            take_whole(answer, whole, chat)
            return answer
        await read_stream(reader, answer, chat, events_wanted)
        return answer
    finally:
        # At once, as the kernel does for a process that is killed.
        if events_wanted is not None:
            writer.transport.abort()
        writer.close()


def take_whole(answer, whole, chat):
    answer.complete = True
    answer.error, answer.usage = whole.get("error"), whole.get("usage")
    if (answer.status == 200) == bool(answer.error):
        raise Broken(f"status {answer.status} with {str(whole)[:200]}")
    for piece in whole.get("choices", []):
        answer.choices.setdefault(piece["index"], Choice()).add(piece, chat)


async def read_stream(reader, answer, chat, events_wanted):
    if not answer.headers["content-type"].startswith("text/event-stream"):
        raise Broken(f"a stream of {answer.headers['content-type']}")
    events, seen, done, names = Events(), 0, False, set()
    async for part in read_parts(reader, answer.headers):
        for data in events.push(part):
            if done or answer.error:
                raise Broken(f"an event behind the last one: {data[:200]}")
            seen += 1
            if data == "[DONE]":
                done = True
                continue
            chunk = json.loads(data)
            if "error" in chunk:
                answer.error = chunk["error"]
                continue
            names.add(chunk["id"])
            answer.usage = chunk.get("usage") or answer.usage
            for piece in chunk["choices"]:
                answer.choices.setdefault(piece["index"], Choice()).add(piece, chat)
            if seen == events_wanted:
                return
    if events.rest or len(names) > 1 or not (done or answer.error):
        raise Broken(f"a stream of ids {names} that ends with {events.rest[:100]}, done {done}")
    if done and any(choice.finish is None for choice in answer.choices.values()):
        raise Broken("[DONE] before the end of a choice")
    answer.complete = True


class Server:
    """async with Server(binary, artifact, weights, "--flag", ..) as server"""

    def __init__(self, binary, artifact, weights, *flags):
        self.command = [str(binary), str(artifact), "--weights", str(weights),
                        "--port", "0", *flags]
        self.said = []

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            limit=1 << 24)
        self.port = None
        while self.port is None:
            line = (await asyncio.wait_for(self.process.stderr.readline(), 60)).decode()
            if not line:
                raise Broken(f"{' '.join(self.command)} does not start: {''.join(self.said)}")
            self.said.append(line)
            if found := re.search(r"http://[^ ]*:(\d+)", line):
                self.port = int(found[1])
        self.listener = asyncio.create_task(self.listen())
        for _ in range(3000):
            if (await get(self.port, "/ready"))[0] == 200:
                return self
            await asyncio.sleep(0.02)
        raise Broken("/ready is not 200 after 60 s")

    async def listen(self):
        while line := await self.process.stderr.readline():
            self.said.append(line.decode(errors="replace"))

    async def __aexit__(self, kind, *_):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 60)
            except asyncio.TimeoutError:
                self.process.kill()
                raise Broken("the server does not end 60 s after SIGTERM") from None
        await self.listener
        if kind is None and self.process.returncode not in (0, 143):
            print("".join(self.said[-5:]), file=sys.stderr)
            raise Broken(f"the server ended with {self.process.returncode}")

    def memory(self):
        """Resident bytes."""
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    def files(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    async def wait_idle(self, seconds=10):
        """Until nothing runs or waits, and no page is anybody's."""
        for _ in range(int(seconds * 20)):
            busy = [await metric(self.port, "vllm:num_requests_running"),
                    await metric(self.port, "vllm:num_requests_waiting"),
                    await metric(self.port, "hadal:pages", use="owned")]
            if not any(busy):
                return
            await asyncio.sleep(0.05)
        raise Broken(f"running, waiting, pages owned stay {busy}")
