"""The part `documented` of load.py: docs/serving.md names every flag and metric, and
promtool, where it is installed, reads /metrics."""
import asyncio
import re
import shutil
import subprocess

from client import complete, get


def expand(name):
    """x_{a,b}_c -> x_a_c, x_b_c. Braces behind anything but _ are labels."""
    name = re.sub(r"(?<!_)\{[^{}]*\}", "", name)
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return [name]
    return [name[:match.start()] + word + name[match.end():] for word in match[1].split(",")]


def promtool(text):
    """What is wrong beyond names, which are vLLM's."""
    path = shutil.which("promtool")
    if not path:
        return [], "no promtool (Debian: prometheus)"
    done = subprocess.run([path, "check", "metrics"], input=text, capture_output=True)
    said = [line for line in (done.stdout + done.stderr).decode().splitlines()
            if line and "should not" not in line]
    return said, "promtool reads them"


async def documented(place, counts):
    page = (place.source / "docs/serving.md").read_text()
    page_names = {full for name in re.findall(r"`((?:vllm|hadal):[^`]*)`", page) for full in expand(name)}
    process = await asyncio.create_subprocess_exec(
        place.binary, "--help", stdout=asyncio.subprocess.PIPE)
    help_text = (await process.communicate())[0].decode()
    flags = set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", help_text, re.M))
    wrong = [f"docs/serving.md has no {flag}" for flag in sorted(flags)
             if flag != "--help" and not re.search(flag + r"(?![a-z-])", page)]
    async with place.server() as server:
        await complete(server.port, {"prompt": "In", "max_tokens": 4, "n": 2})
        text = (await get(server.port, "/metrics"))[2]
    metrics = set(re.findall(r"^# TYPE (\S+)", text.decode(), re.M))
    wrong += [f"docs/serving.md has no {name}" for name in sorted(metrics - page_names)]
    wrong += [f"docs/serving.md tells of {name}, which /metrics has not"
              for name in sorted(page_names - metrics)]
    faults, said = promtool(text)
    return wrong + faults, f"{len(flags)} flags, {len(metrics)} metrics, {said}"
