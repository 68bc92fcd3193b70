#!/usr/bin/env python3
"""packaging/ against the program: the unit is one and its flags exist, rules name metrics
that docs/serving.md has, files that the image copies are built.

    packaging.py BIN_DIR SOURCE_DIR
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from documented import expand


def check_unit(source, binary, say):
    text = (source / "packaging/hadal-serve.service").read_text()
    help_text = subprocess.run([binary, "--help"], capture_output=True, text=True).stdout
    for flag in re.findall(r"(?<![\w-])--[a-z-]+", text):
        if not re.search(flag + r"(?![a-z-])", help_text):
            say(f"the unit names {flag}, which hadal-serve does not have")
    drain = float(re.search(r"--drain-timeout\D*=(\d+)", help_text)[1])
    if float(re.search(r"TimeoutStopSec=(\d+)", text)[1]) <= drain:
        say("TimeoutStopSec is shorter than --drain-timeout")
    if not shutil.which("systemd-analyze"):
        return print("no systemd-analyze: the unit is not verified")
    with tempfile.TemporaryDirectory() as directory:
        unit = pathlib.Path(directory) / "hadal-serve.service"
        unit.write_text(text.replace("/usr/local/bin/hadal-serve", str(binary)))
        done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
        # Other units of the machine are not ours.
        for line in (done.stdout + done.stderr).splitlines():
            if "hadal-serve" in line:
                say(line)


def check_rules(source, say):
    path = source / "packaging/alerts.yml"
    page = (source / "docs/serving.md").read_text()
    known = {full for name in re.findall(r"`((?:vllm|hadal):[^`]*)`", page) for full in expand(name)}
    used = set(re.findall(r"(?:vllm|hadal):[a-z_]+", path.read_text()))
    for name in sorted(used - known):
        say(f"{path.name} asks for {name}, which docs/serving.md does not have")
    if not used:
        say(f"{path.name} asks for no metric")
    if not shutil.which("promtool"):
        return print("no promtool: the rules are not checked")
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    if done.returncode:
        say(done.stdout + done.stderr)


def check_image(source, binaries, say):
    text = (source / "packaging/Dockerfile").read_text()
    copied = re.findall(r"build-portable/bin/([\w-]+)", text)
    for name in copied:
        if not (binaries / name).exists():
            say(f"the image copies {name}, which is not built")
    if "hadal-serve" not in copied:
        say("the image has no hadal-serve")


def main():
    binaries, source = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    wrong = []
    check_unit(source, binaries / "hadal-serve", wrong.append)
    check_rules(source, wrong.append)
    check_image(source, binaries, wrong.append)
    print("\n".join(wrong) or "unit, rules and image fit the program")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
