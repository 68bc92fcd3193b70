#!/usr/bin/env python3
"""Checks that nobody outside a target's own folders knows it by its name.

What differs between targets is asked of a row of the table of targets
(compiler/codegen/Target.h). So the name of a target, as a string or as an
enumerator, is code in three kinds of places only: the target's folders, device
creation, and the verifier of artifacts. Comments and sentences for people may
name what they like. Prints each use elsewhere and exits 1 if there is one. With
--self-test it checks itself on planted texts.
"""
import pathlib
import re
import sys

FOLDERS = ["dialects", "options", "frontend", "kernels", "schedule", "passes",
           "compiler", "runtime", "tools"]

ALLOWED = [
    # The target's folders: code generation, schedule spaces, drivers.
    "compiler/codegen/cpu/", "compiler/codegen/nvptx/",
    "schedule/spaces/",
    "runtime/drivers/cpu/", "runtime/drivers/cuda/", "runtime/drivers/sim/",
    # Device creation.
    "runtime/drivers/CreateDriver.cpp",
    # The verifier of artifacts.
    "runtime/artifact/VerifyMeaning.cpp",
    # Tests and their artifacts.
    "runtime/cts/",
    # No target, but the cgroup controller of that name.
    "runtime/base/CpuCount.cpp",
]

# A comment, a character or a string.
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])'|\"(?:\\.|[^\"\\\n])*\"",
                   re.S)
STRING = re.compile(r'"(?:\\")?(?:cpu|sm_?90a)(?:\\")?"')
CODE = re.compile(r"\bTarget::(?:cpu|sm90a)\b|\bis(?:Cpu|Sm90a)\b")


def uses(text):
    """Yields (line, text) of each use of a target's name in C++ or TableGen."""
    blanked = []
    end = 0
    for token in TOKEN.finditer(text):
        blanked.append(text[end:token.start()])
        if STRING.fullmatch(token[0]):
            yield text.count("\n", 0, token.start()) + 1, token[0]
        blanked.append(re.sub(r"[^\n]", " ", token[0]))
        end = token.end()
    blanked.append(text[end:])
    plain = "".join(blanked)
    for use in CODE.finditer(plain):
        yield plain.count("\n", 0, use.start()) + 1, use[0]


def self_test():
    planted = '''// "cpu" and Target::cpu in a comment
      if (target == "cpu" || t != "sm_90a") // "sm_90a"
        return Target::sm90a;
      Option<"target", "std::string", "\\"cpu\\"", "cpu; sm_90a: pitch">
      print("--target=sm_90a is for Hopper"); isSm90a(x); isCpuBound(y);'''
    found = [use for _, use in uses(planted)]
    wanted = ['"cpu"', '"sm_90a"', '"\\"cpu\\""', "Target::sm90a", "isSm90a"]
    return 0 if found == wanted else 1


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = pathlib.Path(__file__).resolve().parent.parent
    files, found = 0, []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".cpp", ".h", ".td", ".def"):
                continue
            files += 1
            name = str(path.relative_to(root))
            if name.startswith(tuple(ALLOWED)):
                continue
            found += [f"{name}:{line}: {use}"
                      for line, use in uses(path.read_text())]
    # Each exception is used, or it goes.
    for allowed in ALLOWED:
        paths = [root / allowed] if "." in allowed.rsplit("/", 1)[-1] else \
            sorted((root / allowed).rglob("*"))
        if not any(path.suffix in (".cpp", ".h", ".td", ".def") and
                   list(uses(path.read_text())) for path in paths):
            found.append(f"check_target_names.py: {allowed} needs no exception")
    print("\n".join(found))
    print(f"check_target_names: {files} files, {len(found)} uses")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
