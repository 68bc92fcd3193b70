"""A headless Chromium driven over a pipe (DevTools' --remote-debugging-pipe:
messages of JSON, a zero byte behind each)."""
import asyncio
import json
import os
import shutil

BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser",
            "google-chrome"]


def find():
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Browser:
    """async with Browser(path, profile) as browser: browser.call(...)."""

    def __init__(self, path, profile):
        self.path, self.profile = path, profile
        self.answers, self.number, self.session = {}, 0, None
        self.wrong = []  # what the console has got of mistakes

    async def __aenter__(self):
        read, self.out = os.pipe()
        self.into, write = os.pipe()

        def ends():
            # The browser reads from 3 and writes to 4; a copy above both keeps
            # one from covering the other.
            high = os.dup2(write, 100), os.dup2(read, 101)
            os.dup2(high[1], 3)
            os.dup2(high[0], 4)

        self.process = await asyncio.create_subprocess_exec(
            self.path, "--no-sandbox", "--disable-gpu", "--headless", "--no-first-run",
            "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=ends, close_fds=False)
        os.close(read)
        os.close(write)
        self.reader = asyncio.StreamReader(limit=1 << 26)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self.reader), os.fdopen(self.into, "rb"))
        self.listener = asyncio.create_task(self.listen())
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", flatten=True,
                                   targetId=target["targetId"])
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        return self

    async def __aexit__(self, *_):
        self.process.kill()
        await self.process.wait()
        self.listener.cancel()
        os.close(self.out)

    async def listen(self):
        while True:
            message = json.loads((await self.reader.readuntil(b"\0"))[:-1])
            if "id" in message:
                self.answers.pop(message["id"]).set_result(message)
            else:
                self.note(message.get("method"), message.get("params", {}))

    def note(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.wrong.append(json.dumps(params["exceptionDetails"])[:300])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.wrong.append(json.dumps(params["args"])[:300])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.wrong.append(params["entry"]["text"][:300])

    async def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.answers[self.number] = answer = asyncio.get_running_loop().create_future()
        os.write(self.out, json.dumps(message).encode() + b"\0")
        reply = await asyncio.wait_for(answer, 30)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    async def evaluate(self, expression):
        done = await self.call("Runtime.evaluate", expression=expression,
                               awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {json.dumps(done['exceptionDetails'])[:300]}")
        return done["result"].get("value")

    async def wait(self, expression, seconds=15):
        """Until |expression| is true; whether it became so."""
        for _ in range(int(seconds * 50)):
            if await self.evaluate(expression):
                return True
            await asyncio.sleep(0.02)
        return False
