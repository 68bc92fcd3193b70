#!/usr/bin/env python3
"""Checks docs/errors against runtime/schemas/errors.def, and runs its examples.

    check_pages.py SOURCE_DIR            every code has a section, in the table's words
    check_pages.py SOURCE_DIR --bin DIR  and each example does what it shows

A section has a remedy, and an example or the test of the tree that shows the code
(which must name it). An example is a block of `sh`: lines after `$ ` are run one
after the other in an empty folder, which has what docs/errors/README.md says; the
last must end with the exit status of the code and print it, and every other line
must be in what they print, in that order. Also checks that the tool has the same
sections.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CODE = re.compile(r'HADAL_ERROR\((\d+), (\d+), "(.*)"\)')
SECTION = re.compile(r"^## H(\d{4}): (.*)\n((?:(?!## ).*\n)*)", re.M)
EXAMPLE = re.compile(r"\*\*Example\.\*\*[^\n]*\n\n```sh\n(.*?)```", re.S)
SHOWN = re.compile(r"\*\*Shown by\*\* `([^`]+)`")
AREAS = ["1-frontend", "2-passes", "3-targets", "4-artifact", "5-runtime",
         "6-comm"]


def read_sections(source):
    found = {}
    for area in AREAS:
        text = (source / "docs/errors" / f"{area}.md").read_text()
        for code, sentence, body in SECTION.findall(text):
            if code in found or code[0] != area[0]:
                raise SystemExit(f"H{code}: a second section, or in {area}.md")
            found[code] = (sentence, body)
    return found


def check_sections(source, codes, sections):
    for code, (_, sentence) in codes.items():
        if code not in sections:
            yield f"H{code}: docs/errors has no section"
            continue
        heading, body = sections[code]
        if heading != sentence:
            yield f"H{code}: the heading is '{heading}', the table says '{sentence}'"
        if "**Remedy.**" not in body:
            yield f"H{code}: no remedy"
        shown = SHOWN.search(body)
        if bool(shown) == bool(EXAMPLE.search(body)):
            yield f"H{code}: takes an example, or the test that shows it"
        if shown:
            test = source / shown[1]
            if not test.exists() or code not in test.read_text():
                yield f"H{code}: {shown[1]} does not name the code"
    for code in sections.keys() - codes.keys():
        yield f"H{code}: a section of no code"


def prepare(source, folder, tools):
    (folder / "models").symlink_to(source / "models")
    subprocess.run(["hadal-compile", "models/tiny", "--images=native",
                    "--max-batch-size=4", "--max-seq-len=64", "-o", "m.hadal"],
                   cwd=folder, env=tools, check=True, capture_output=True)


def run_example(code, status, body, source, shared, tools):
    """Returns what is wrong with the example of a code, or None."""
    example = EXAMPLE.search(body)
    if not example:
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "models").symlink_to(source / "models")
        (folder / "m.hadal").symlink_to(shared / "m.hadal")
        said, expected = "", []
        for line in example[1].splitlines():
            if not line.startswith("$ "):
                expected.append(line)
                continue
            done = subprocess.run(["bash", "-c", line[2:]], cwd=folder,
                                  env=tools, stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=300)
            said += (done.stdout + done.stderr).decode(errors="replace")
            last = done.returncode
        if last != status:
            return f"H{code}: exit status {last}, expected {status}: {said[-600:]}"
        if f"H{code}" not in said:
            return f"H{code}: not said: {said[-600:]}"
        at = 0
        for line in expected:
            at = said.find(line, at)
            if at < 0:
                return f"H{code}: does not say '{line}': {said[-600:]}"
    return None


def check_tool(codes, sections, tools):
    listed = subprocess.run(["hadal-explain", "--list"], env=tools,
                            capture_output=True, text=True, check=True).stdout
    for (code, (status, sentence)), line in zip(codes.items(),
                                                listed.splitlines(),
                                                strict=True):
        if line.split(maxsplit=2) != [f"H{code}", str(status), sentence]:
            yield f"H{code}: --list says '{line}'"
        page = subprocess.run(["hadal-explain", f"H{code}"], env=tools,
                              capture_output=True, text=True).stdout
        if sections[code][1].strip() not in page or sentence not in page:
            yield f"H{code}: hadal-explain prints another page"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--bin", type=pathlib.Path)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    source = args.source.resolve()
    table = (source / "runtime/schemas/errors.def").read_text()
    codes = {code: (int(status), sentence)
             for code, status, sentence in CODE.findall(table)}
    sections = read_sections(source)
    wrong = list(check_sections(source, codes, sections))
    examples = sum(bool(EXAMPLE.search(body)) for _, body in sections.values())
    if args.bin and not wrong:
        tools = dict(os.environ, PATH=f"{args.bin.resolve()}:{os.environ['PATH']}")
        wrong += check_tool(codes, sections, tools)
        with tempfile.TemporaryDirectory() as name:
            shared = pathlib.Path(name)
            prepare(source, shared, tools)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                runs = [pool.submit(run_example, code, codes[code][0],
                                    sections[code][1], source, shared, tools)
                        for code in codes if args.only in code]
                wrong += [run.result() for run in runs if run.result()]
    print("\n".join(wrong))
    print(f"check_pages: {len(codes)} codes, {examples} examples, "
          f"{len(wrong)} wrong")
    return 1 if wrong or not codes else 0


if __name__ == "__main__":
    sys.exit(main())
