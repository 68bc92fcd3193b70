"""Reads the training text of models/tiny: the King James Bible.

The text is the one of the Debian packages bible-kjv and bible-kjv-text; its
copyright has expired (the translation is of 1611). Verse references are
dropped, one verse is one line, one chapter is one document.
"""

import re
import subprocess


def chapters():
    """Returns the text as a list of chapters (str), in order of the book.

    Raises FileNotFoundError when the `bible` command is missing.
    """
    out = subprocess.run(
        ["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True
    ).stdout.decode("ascii")
    found = []
    last = None
    for line in out.splitlines():
        match = re.match(r"(\S+?)(\d+):(\d+) (.*)$", line)
        if not match:
            raise ValueError(f"verse expected, found {line[:60]!r}")
        chapter = (match.group(1), match.group(2))
        if chapter != last:
            found.append([])
            last = chapter
        found[-1].append(match.group(4).strip())
    return ["\n".join(verses) + "\n" for verses in found]


def split(every=50):
    """Returns (training, held out): every `every`-th chapter is held out."""
    text = chapters()
    train = [c for i, c in enumerate(text) if i % every != every - 1]
    held = [c for i, c in enumerate(text) if i % every == every - 1]
    return train, held
