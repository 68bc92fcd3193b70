#!/usr/bin/env python3
"""Sets words of schedules in a file of IR.

    edit_words.py IN OUT REGEX:WORD=VALUE,... ...

For each kernel whose symbol has a match of REGEX the words take the values, as
they do with --schedule; a word that the kernel has not is added. A pattern
without a kernel is an error.
"""
import re
import sys


def literal(value):
    if re.fullmatch(r"-?\d+", value):
        return f"{value} : i64"
    return value if value in ("true", "false") else f'"{value}"'


def main():
    source, target, *edits = sys.argv[1:]
    with open(source) as file:
        lines = file.read().split("\n")
    for edit in edits:
        pattern, words = edit.rsplit(":", 1)
        found = 0
        for i, line in enumerate(lines):
            kernel = re.search(r"tile\.kernel @([\w.]+)\(", line)
            if not kernel or not re.search(pattern, kernel[1]):
                continue
            found += 1
            for word in words.split(","):
                name, value = word.split("=")
                line, count = re.subn(
                    rf"( schedule {{(?:[^}}]* )?){name} = [^,}}]*",
                    rf"\g<1>{name} = {literal(value)}", line, count=1)
                if not count:
                    line = line.replace(
                        " schedule {",
                        f" schedule {{{name} = {literal(value)}, ", 1)
            lines[i] = line
        if not found:
            sys.exit(f"no kernel matches {pattern}")
    with open(target, "w") as file:
        file.write("\n".join(lines))


if __name__ == "__main__":
    main()
