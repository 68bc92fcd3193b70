#!/usr/bin/env python3
"""Compares the tokenizer with Hugging Face tokenizers on random texts.

    differential.py ENCODE_LINES DIRECTORY [--count N] [--seed S]
                    [--added none|nonspecial|all] [--code-points] [--forms]

Texts mix words, digits, white space, punctuation, CJK, marks, emoji, controls,
unassigned code points and pieces of added tokens; with --code-points the first
texts hold every code point beside each other, letters, spaces and punctuation.
Prints each mismatch (at most 20), the count, and exits 1 if there is one. Exits
77 where tokenizers 0.23 is missing (another one may have another Unicode).
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    from tokenizers import Tokenizer, __version__ as version
except ImportError:
    version = "none"
if not version.startswith("0.23."):
    print(f"SKIPPED: needs the Python package tokenizers 0.23, found {version}")
    sys.exit(77)

import forms
import generate_forms

WORDS = ("the of and in to is It's don't HELLO world naïve Straße Ünïcödé "
         "привет мир Ελληνικά العربية עברית हिन्दी ไทย 한국어 日本語 中文 漢字かな "
         "カタカナ foo_bar camelCase x86_64 3.14159 1,000,000 ½ ² Ⅷ ①②③ ٣٤٥ "
         "https://example.org/a?b=c&d=e #include <vector> // \\n \\t {} [] () "
         "a+b=c === !== -> => ... …… — – “quoted” «x» ¿qué? ¡sí! €100 $5 £ "
         "e\u0301 a\u0308\u0323 \u0301 \u200d \u200b \ufeff 👍🏽 👨‍👩‍👧 🇩🇪 ☃ ♥ "
         "・ ー 。、 「」 ａｂｃ １２３ \u3099 \u309b \u30a0 \u30fb").split()
SPACES = [" ", "  ", "   ", "\n", "\r\n", "\n\n", " \n", "\n ", "\t", "\u00a0",
          "\u3000", "\u2028", "\u0085", "\u000b", " \t \r\n  ", "\r", "\u2009"]
CONTROLS = ["\x00", "\x01", "\x7f", "\u0080", "\u00ad", "\u0378", "\ue000",
            "\U000e0001", "\U0010ffff", "\ufffd", "\ufffe"]


def all_code_points():
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for begin in range(0, len(codes), 64):
        part = [chr(c) for c in codes[begin:begin + 64]]
        for text in ("".join(part), "a".join(part), " ".join(part),
                     "! ".join(part)):
            yield text


def random_text(rng, added):
    kind = rng.randrange(10)
    parts = []
    for _ in range(rng.randint(1, 24)):
        choice = rng.randrange(12)
        if choice < 4:
            parts.append(rng.choice(WORDS))
        elif choice < 7:
            parts.append(rng.choice(SPACES))
        elif choice == 7:
            parts.append(str(rng.randrange(10 ** rng.randint(1, 12))))
        elif choice == 8:
            parts.append("".join(chr(rng.randint(0x20, 0x7e))
                                 for _ in range(rng.randint(1, 12))))
        elif choice == 9:
            parts.append("".join(chr(rng.choice(
                [rng.randint(0x4e00, 0x9fff), rng.randint(0x3040, 0x30ff),
                 rng.randint(0xa0, 0x600), rng.randint(0x1f300, 0x1faff)]))
                for _ in range(rng.randint(1, 8))))
        elif choice == 10 and kind == 0:
            parts.append(rng.choice(CONTROLS))
        elif choice == 10 and kind == 1 and added:
            token = rng.choice(added)
            parts.append(token if rng.random() < 0.7
                         else token[:rng.randint(1, len(token))])
        elif choice == 11 and kind == 2:
            code = rng.randrange(0x110000)
            parts.append(chr(code) if not 0xD800 <= code < 0xE000 else "?")
        elif choice == 11 and kind == 3:
            parts.append(rng.choice("a \n!é中") * rng.randint(30, 300))
    return "".join(parts)


def compare(encode_lines, directory, added, reference, texts, decodes=True):
    """Prints the texts whose ids differ, or which |decodes| wants back and does
    not get; the number of them."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps(text) + "\n")
        file.flush()
        with open(file.name, encoding="utf-8") as lines:
            run = subprocess.run([encode_lines, directory, added], stdin=lines,
                                 capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"encode_lines failed: {run.stderr}")
    results = run.stdout.split("\n")[:-1]
    if len(results) != len(texts):
        sys.exit(f"{len(texts)} texts, but {len(results)} results")
    mismatches = 0
    for text, result in zip(texts, results):
        ids, whole, pieces = result.split("\t")
        found = [int(i) for i in ids.split()]
        expected = reference.encode(text, add_special_tokens=False).ids
        decoded = json.loads(whole)
        if found == expected and (not decodes or decoded == text
                                  and json.loads(pieces) == text):
            continue
        mismatches += 1
        if mismatches <= 20:
            print(f"{text!r}\n  expected {expected}\n  found    {found}\n"
                  f"  decoded  {decoded!r}")
    return mismatches


def compare_forms(encode_lines, definition, texts):
    mismatches = 0
    for name, changes in forms.FORMS.items():
        changed = generate_forms.changed(json.dumps(definition), changes)
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "tokenizer.json"
            path.write_text(json.dumps(changed), encoding="utf-8")
            reference = Tokenizer.from_file(str(path))
            reference.no_padding()
            found = compare(encode_lines, directory, "all", reference, texts,
                            decodes=False)
        mismatches += found
        if found:
            print(f"  of the form '{name}'")
    return mismatches


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("encode_lines")
    parser.add_argument("directory")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--code-points", action="store_true",
                        help="also every code point in four surroundings")
    parser.add_argument("--added", default="all",
                        choices=["none", "nonspecial", "all"])
    parser.add_argument("--forms", action="store_true",
                        help="with each of the changes in forms.py")
    options = parser.parse_args()

    path = pathlib.Path(options.directory) / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    added = [t["content"] for t in definition["added_tokens"]]
    rng = random.Random(options.seed)
    texts = list(all_code_points()) if options.code_points else []
    texts += [random_text(rng, added) for _ in range(options.count)]
    if options.forms:
        mismatches = compare_forms(options.encode_lines, definition, texts)
    else:
        if options.added == "none":
            definition["added_tokens"] = []
        reference = Tokenizer.from_str(json.dumps(definition))
        if options.added == "nonspecial":
            reference.encode_special_tokens = True
        mismatches = compare(options.encode_lines, options.directory,
                             options.added, reference, texts)
    print(f"{len(texts)} texts, {mismatches} mismatches")
    return 1 if mismatches else 0


sys.exit(main())
