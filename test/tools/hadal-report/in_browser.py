#!/usr/bin/env python3
"""Opens reports in a headless Chromium; says so and passes where there is none.

    in_browser.py BIN_DIR SOURCE_DIR WORK_DIR [--shots DIR]

The page's own #selftest opens every panel of every bucket, follows joins and
inflates every blob, at 1280 and at 390 pixels, of a report with phases, snapshots
and a trace whose names are markup. Cut off at many places a report says so, throws
nothing and shows what is left. --shots keeps a picture of each panel.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser",
            "google-chrome"]
PANELS = ["model", "ir", "kernels", "code", "timeline", "memory", "decisions"]
MARKUP = "</script><img src=x onerror=\"document.title='hit'\">\u2028'\"\x01"
CUTS = 40


class Browser:
    def __init__(self, path):
        self.path = path

    def run(self, page, fragment, width, *options):
        return subprocess.run(
            [self.path, "--no-sandbox", "--disable-gpu", "--headless",
             "--hide-scrollbars", f"--window-size={width},900",
             "--virtual-time-budget=120000", "--enable-logging=stderr",
             *options, f"file://{page}#{fragment}"],
            capture_output=True, timeout=300)

    def dom(self, page, fragment="", width=1280):
        """The document after its scripts, and what the console has said of
        mistakes."""
        done = self.run(page, fragment, width, "--dump-dom")
        said = [line for line in done.stderr.decode(errors="replace").splitlines()
                if "CONSOLE" in line and "Uncaught" in line or "Refused to" in line]
        return done.stdout.decode(errors="replace"), said


def trace(operation):
    """A trace in Chrome's form: a step, launches inside it, names of markup."""
    events = [{"ph": "M", "name": "process_name", "pid": 0, "tid": 0,
               "args": {"name": "rank 0 (host7)"}},
              {"ph": "X", "name": MARKUP, "cat": "step", "pid": 0, "tid": 0,
               "ts": 100, "dur": 5000, "args": {}}]
    for i in range(500):
        events.append({"ph": "X", "name": operation, "cat": "launch", "pid": 0,
                       "tid": 0, "ts": 100 + 10 * i, "dur": 9.5,
                       "args": {"layer": i, "kernel": MARKUP}})
    return {"traceEvents": events}


def make(tools, source, work):
    subprocess.run([tools / "hadal-compile", source / "models/tiny",
                    "--images=native", "--max-batch-size=4", "--max-seq-len=64",
                    "--dump-phases-to", "d", "--dump-passes-to", "p",
                    "-o", "m.hadal"], cwd=work, check=True, capture_output=True)
    (work / "profile.json").write_text(json.dumps(trace("moe_layer.gate_up")))
    subprocess.run([tools / "hadal-report", "m.hadal", "--phases", "d",
                    "--passes", "p", "--profile", "profile.json", "--cluster",
                    source / "models/clusters/h100-nccl.json", "-o", "full.html"],
                   cwd=work, check=True)
    subprocess.run([tools / "hadal-report", "m.hadal", "-o", "bare.html"],
                   cwd=work, check=True)


def check_selftest(browser, page, width):
    dom, said = browser.dom(page, "selftest", width)
    result = re.search(r'<pre id="selftest"[^>]*>(.*?)</pre>', dom, re.S)
    if not result or not result[1].startswith("PASS"):
        yield f"{page.name} at {width}: {result[1] if result else 'no result'}"
    for line in said:
        yield f"{page.name} at {width}: {line}"
    if "host7" in dom:
        yield f"{page.name}: names a host"


def check_cut(browser, page, at, folder):
    cut = folder / "cut.html"
    cut.write_bytes(page.read_bytes()[:at])
    dom, said = browser.dom(cut, "panel=model")
    for line in said:
        yield f"cut at {at}: {line}"
    notice = re.search(r'<p id="notice"[^>]*>([^<]*)', dom)
    # Before the notice there is nothing to read it in.
    if at > 12000 and not (notice and "cut off" in notice[1]):
        yield f"cut at {at}: says nothing of it"
    if "<img" in re.sub(r"<script.*?</script>", "", dom, flags=re.S):
        yield f"cut at {at}: markup from the data"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path)
    args = parser.parse_args()
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        print("in_browser: skipped, there is no Chromium "
              "(Debian: chromium-headless-shell)")
        return 0
    work = args.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    make(args.bin.resolve(), args.source.resolve(), work)
    browser, wrong = Browser(found), []
    for page in (work / "full.html", work / "bare.html"):
        for width in (1280, 390):
            wrong += check_selftest(browser, page, width)
    full = work / "full.html"
    size = full.stat().st_size
    for i in range(1, CUTS):
        wrong += check_cut(browser, full, size * i // CUTS, work)
    if args.shots:
        args.shots.mkdir(parents=True, exist_ok=True)
        for panel in PANELS:
            for width in (1280, 390):
                browser.run(full, f"panel={panel}&bucket=decode_4"
                            "&op=moe_layer.gate_up", width,
                            f"--screenshot={args.shots}/{panel}-{width}.png")
    print("\n".join(wrong))
    print(f"in_browser: {os.path.basename(found)}, 2 reports at 2 widths, "
          f"{CUTS - 1} cuts, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
