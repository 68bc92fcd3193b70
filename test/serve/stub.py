"""A server with hadal-serve's page and the answers it should get, without a model:
what an answer says follows from the last message. For the tests of the page.

    "echo TEXT"   TEXT, a line a chunk
    "think TEXT"  some reasoning, then TEXT
    "slow"        a word every 20 ms until the client goes
    "refuse"      400 with an error body
    "break"       a chunk, then an error inside the stream
    "cut"         a chunk, then the connection ends
"""
import asyncio
import json
import pathlib
import re

TYPES = {".html": "text/html", ".css": "text/css", ".mjs": "text/javascript"}
MODEL = "stub"


def content_security_policy(page):
    """The header as Page.h has it."""
    text = (page / "Page.h").read_text()
    value = text[text.index("kContentSecurityPolicy ="):]
    return "".join(re.findall(r'"([^"]*)"', value[:value.index(";\n\n")]))


class Stub:
    def __init__(self, page):
        self.page = pathlib.Path(page)
        self.policy = content_security_policy(self.page)
        self.bodies = []  # of completions
        self.gone = 0     # clients that left inside an answer

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            length = re.search(r"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            await self.answer(method, target, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone += 1
        finally:
            writer.close()

    async def answer(self, method, target, body, writer):
        if method == "POST":
            return await self.complete(json.loads(body), writer)
        if target == "/v1/models":
            return self.send(writer, 200, "application/json",
                             json.dumps({"data": [{"id": MODEL}]}).encode())
        path = self.page / ("index.html" if target == "/" else target[1:])
        if path.parent != self.page or not path.is_file():
            return self.send(writer, 404, "text/plain", b"")
        self.send(writer, 200, TYPES[path.suffix], path.read_bytes())

    def send(self, writer, status, kind, body):
        writer.write(f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\n"
                     f"Content-Security-Policy: {self.policy}\r\n"
                     f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                     .encode() + body)

    async def complete(self, body, writer):
        self.bodies.append(body)
        said = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        word, _, text = said.partition(" ")
        if word == "refuse":
            error = {"error": {"message": "temperature is 9, expected at most 2",
                               "code": "H5028"}}
            return self.send(writer, 400, "application/json", json.dumps(error).encode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     b"Connection: close\r\n\r\n")
        async for chunk in self.chunks(word, text, "messages" in body):
            writer.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await writer.drain()
        if word not in ("break", "cut"):
            writer.write(b": keep-alive\n\ndata: [DONE]\n\n")

    async def chunks(self, word, text, chat):
        def choice(**delta):
            return {"choices": [{"index": 0, "token_ids": [1], **(
                {"delta": delta} if chat else {"text": delta["content"]})}]}
        if chat:
            yield {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
        if word == "think":
            yield choice(reasoning="because ", reasoning_content="because ")
        while word == "slow":
            yield choice(content="word ")
            await asyncio.sleep(0.02)
        if word in ("break", "cut"):
            yield choice(content="half")
            if word == "break":
                yield {"error": {"message": "the call failed", "code": "H5017"}}
            return
        lines = text.splitlines(keepends=True)
        for line in lines:
            yield choice(content=line)
            await asyncio.sleep(0.005)
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield {"choices": [], "usage": {"completion_tokens": len(lines)}}
