#!/usr/bin/env python3
"""Checks that every operation of a dialect and every pass has a description.

What their definitions (*.td) say is all that a reader of the generated pages
(the target `docs`) and of `hadal-opt --help` learns. Prints each definition
without one and exits 1 if there is one.
"""
import pathlib
import re
import sys

FOLDERS = ["dialects", "passes", "compiler"]
DEFINITION = re.compile(r"^(def|class) (\w+)\b([^\n]*)\n?(.*?)(?=^def |^class |\Z)",
                        re.S | re.M)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    files = [path for folder in FOLDERS
             for path in sorted((root / folder).rglob("*.td"))]
    count, missing = 0, []
    for path in files:
        for kind, name, head, body in DEFINITION.findall(path.read_text()):
            is_pass = path.name == "Passes.td"
            if kind != "def" or not (is_pass or name.endswith("Op")):
                continue
            count += 1
            if not re.search(r"\blet description\b", head + body):
                missing.append(f"{path.relative_to(root)}: {name} has no description")
    print("\n".join(missing))
    print(f"check_descriptions: {count} definitions, {len(missing)} without")
    return 1 if missing or not count else 0


if __name__ == "__main__":
    sys.exit(main())
