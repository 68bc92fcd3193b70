"""The part `managed` of load.py: what a service manager sees, and the plan of memory."""
import asyncio
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import tempfile

from client import complete


class Manager:
    """Receives what sd_notify sends."""

    def __init__(self, watchdog_usec):
        self.directory = tempfile.TemporaryDirectory()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        path = str(pathlib.Path(self.directory.name) / "notify")
        self.socket.bind(path)
        self.environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(watchdog_usec)}
        self.said = []

    def lines(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said += self.socket.recv(4096).decode().split("\n")
        return self.said

    async def until(self, pattern, seconds=20):
        for _ in range(int(seconds * 100)):
            if found := [line for line in self.lines() if re.fullmatch(pattern, line)]:
                return found
            await asyncio.sleep(0.01)
        return []

    @contextlib.contextmanager
    def spoken_to(self):
        os.environ.update(self.environment)
        try:
            yield self
        finally:
            for name in self.environment:
                del os.environ[name]
            self.socket.close()
            self.directory.cleanup()


async def managed(place, _):
    wrong = []
    with Manager(watchdog_usec=20000).spoken_to() as manager:
        async with place.server("--watchdog", "0.0001") as server:
            ready = await manager.until("READY=1")
            before = manager.lines()[:manager.lines().index("READY=1")] if ready else []
            expected = ["STATUS=weights are being loaded"]
            calls = [line for line in before if line.startswith("STATUS=warming up: call ")]
            if not ready or before != expected + calls or not calls:
                wrong.append(f"before READY=1: {before}")
            elif calls[-1] != f"STATUS=warming up: call {len(calls)} of {len(calls)}":
                wrong.append(f"the last of {len(calls)} calls: {calls[-1]}")
            if not await manager.until("WATCHDOG=1"):
                wrong.append("no WATCHDOG=1 while nothing runs")
            # Every call is too long for this one.
            await complete(server.port, {"prompt": "In the beginning", "max_tokens": 300,
                                         "ignore_eos": True})
            if not await manager.until(r"STATUS=(prefill|decode)_\d+ has been running for .*"):
                wrong.append(f"no call was said to hang: {manager.lines()[-5:]}")
            if not any("has been running for" in line for line in server.said):
                wrong.append("stderr does not say which call hangs")
        if not await manager.until("STOPPING=1"):
            wrong.append("no STOPPING=1")

    def plan(*flags):
        done = subprocess.run([place.binary, place.artifact, "--weights", place.weights, "--plan",
                               *flags], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    code, said = plan("--max-rows", "2", "--cache-tokens", "100")
    if code or "2 rows of at most 512 tokens, 2 pages of 64 tokens" not in said:
        wrong.append(f"--plan: exit {code}, {said}")
    code, said = plan("--max-rows", "9")
    if code != 2 or "H5005" not in said:
        wrong.append(f"--plan of too many rows: exit {code}, {said}")
    code, said = plan("--cache-tokens", "100", "--cache-pages", "2")
    if code != 2 or "say the same" not in said:
        wrong.append(f"--plan with two sizes: exit {code}, {said}")
    return wrong, f"ready after {len(calls)} calls"
