#!/usr/bin/env python3
"""hadal-serve's page in a headless Chromium, against stub.py; says so and passes
where there is no Chromium.

    page_in_browser.py SOURCE_DIR WORK_DIR [--shots DIR]

At 360 and at 1280 pixels: answers arrive, reasoning is folded, markup in an answer
stays text, Stop ends the request and keeps the text, errors are shown, nothing is
wider than the window, the console has no errors. At last the policy itself: markup
that is put into the page does not run.
"""
import argparse
import asyncio
import base64
import json
import pathlib
import shutil
import sys

import devtools
import stub

MARKUP = "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script>&amp;"
LAST = "[...document.querySelectorAll('.turn.assistant')].at(-1)"
IDLE = "!document.getElementById('send').disabled"


class Scene:
    def __init__(self, browser, server, width):
        self.browser, self.server, self.width = browser, server, width
        self.wrong = []

    def check(self, what, holds):
        if not holds:
            self.wrong.append(f"{self.width} pixels: {what}")

    async def ask(self, text, until=IDLE):
        await self.browser.evaluate(
            f"document.getElementById('message').value = {json.dumps(text)};"
            "document.getElementById('send').click()")
        self.check(f"{text[:20]}: no end", await self.browser.wait(until))

    async def content(self):
        return await self.browser.evaluate(f"{LAST}.querySelector('.content').textContent")

    async def open(self, port):
        await self.browser.call("Emulation.setDeviceMetricsOverride", width=self.width,
                                height=800, deviceScaleFactor=1, mobile=False)
        await self.browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
        self.check("the model's name is not shown", await self.browser.wait(
            f"document.getElementById('state')?.textContent === '{stub.MODEL}'"))

    async def answers(self):
        text = MARKUP + " line\n" + "wide" * 100
        await self.ask("echo " + text)
        self.check("an answer's text differs", await self.content() == text)
        self.check("markup became elements", await self.browser.evaluate(
            "document.querySelectorAll('#turns img, #turns script').length") == 0)
        self.check("markup ran", await self.browser.evaluate("document.title") == "hadal")
        self.check("no speed is shown", "tokens/s" in await self.browser.evaluate(
            "document.getElementById('rate').textContent"))
        await self.ask("think so")
        self.check("the answer behind reasoning differs", await self.content() == "so")
        self.check("reasoning is not folded", await self.browser.evaluate(
            f"{LAST}.querySelector('details.reasoning:not([open]) p').textContent") == "because ")

    async def stop(self):
        gone = self.server.gone
        await self.ask("slow", f"{LAST}?.querySelector('.content').textContent.length > 20")
        await self.browser.evaluate("document.getElementById('stop').click()")
        if not await self.browser.wait(IDLE):
            return self.check("Stop does not stop", False)
        text = await self.content()
        self.check("the stopped text is lost", text.startswith("word "))
        for _ in range(100):
            if self.server.gone > gone:
                break
            await asyncio.sleep(0.02)
        self.check("the server keeps a stopped request", self.server.gone == gone + 1)
        await self.browser.evaluate(
            "document.getElementById('system').value = 'be brief';"
            "document.getElementById('temperature').value = '0.5'")
        await self.ask("echo ok")
        body = self.server.bodies[-1]
        said = [message["content"] for message in body["messages"]]
        self.check("the stopped text is not sent back",
                   said[0] == "be brief" and said[-2:] == [text, "echo ok"])
        self.check("the temperature is not sent", body["temperature"] == 0.5)

    async def exported(self):
        await self.browser.evaluate(
            "globalThis.kept = null; const make = URL.createObjectURL;"
            "URL.createObjectURL = blob => (kept = blob, make(blob));"
            "document.getElementById('export').click()")
        body = json.loads(await self.browser.evaluate("kept.text()"))
        self.check("the export is not the conversation",
                   [m["role"] for m in body["messages"][:3]] == ["system", "user", "assistant"]
                   and body["messages"][1]["content"].startswith("echo <img"))

    async def narrow(self):
        await self.browser.evaluate("document.getElementById('settings').open = true")
        wide = await self.browser.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth")
        self.check(f"the page is {wide} pixels too wide", wide <= 0)

    async def errors(self):
        """The console tells of the 400 and of the cut connection: not ours."""
        self.check(f"console: {self.browser.wrong}", not self.browser.wrong)
        await self.ask("refuse")
        state = "document.getElementById('state').textContent"
        self.check("the error's text is not shown",
                   await self.browser.evaluate(state) == "H5028: temperature is 9, expected at most 2")
        self.check("the message does not come back", await self.browser.evaluate(
            "document.getElementById('message').value") == "refuse")
        note = f"{LAST}.querySelector('.note').textContent"
        await self.ask("break")
        self.check("an error inside the stream is not shown",
                   await self.browser.evaluate(note) == "H5017: the call failed"
                   and await self.content() == "half")
        await self.ask("cut")
        self.check("a cut answer looks whole", "ended inside" in await self.browser.evaluate(note))
        self.browser.wrong = [line for line in self.browser.wrong if "400" not in line]
        self.check(f"console: {self.browser.wrong}", not self.browser.wrong)

    async def text_mode(self):
        await self.browser.evaluate("document.getElementById('clear').click();"
                                    "document.getElementById('mode').value = 'text'")
        await self.ask("echo on")
        self.check("text is not continued", await self.content() == "on"
                   and self.server.bodies[-1]["prompt"] == "echo on")

    async def policy(self):
        """As if the page had taken an answer for markup."""
        await self.browser.evaluate(
            f"document.getElementById('turns').innerHTML = {json.dumps(MARKUP)};"
            "const made = document.createElement('script');"
            "made.text = \"document.title = 'hit'\"; document.body.append(made)")
        await asyncio.sleep(0.2)
        self.check("the policy lets markup run",
                   await self.browser.evaluate("document.title") == "hadal")
        self.browser.wrong.clear()

    async def picture(self, path):
        shot = await self.browser.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


async def run(path, source, work, shots):
    server = stub.Stub(source / "tools/hadal-serve/page")
    port = await server.start()
    wrong = []
    async with devtools.Browser(path, work / "profile") as browser:
        for width in (360, 1280):
            scene = Scene(browser, server, width)
            await scene.open(port)
            await scene.answers()
            await scene.stop()
            await scene.exported()
            await scene.narrow()
            if shots:
                await scene.picture(shots / f"page-{width}.png")
            await scene.errors()
            await scene.text_mode()
            await scene.policy()
            wrong += scene.wrong
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path)
    args = parser.parse_args()
    path = devtools.find()
    if not path:
        print("page_in_browser: skipped, there is no Chromium "
              "(Debian: chromium-headless-shell)")
        return 0
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    if args.shots:
        args.shots.mkdir(parents=True, exist_ok=True)
    wrong = asyncio.run(run(path, args.source.resolve(), args.work.resolve(), args.shots))
    print("\n".join(wrong))
    print(f"page_in_browser: {path}, 2 widths, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
