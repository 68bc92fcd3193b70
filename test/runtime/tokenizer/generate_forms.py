#!/usr/bin/env python3
"""Regenerates fixture/forms.json: for each form of tokenizer.json in forms.py its
changes, the ids that Hugging Face tokenizers gives for texts, and those that it
puts around each; for each pattern the lengths of the pieces that it cuts.

    generate_forms.py [--check]     --check: compare with the file in the tree
"""
import argparse
import json
import pathlib
import sys

try:
    from tokenizers import (Regex, Tokenizer, pre_tokenizers,
                            __version__ as version)
except ImportError:
    version = "none"
if not version.startswith("0.23."):
    print(f"SKIPPED: needs the Python package tokenizers 0.23, found {version}")
    sys.exit(77)

import forms

HERE = pathlib.Path(__file__).parent / "fixture"
TEXTS = [
    "", " ", "  the sea ", "the sea", " the\n\n  old sailor's boat, isn't it?",
    "DON'T! I'LL we'Ve 'S ſ'ſ", "HelloWorld helloWORLD McDonald ǅungla ʰa",
    "1 12 123 1234567 ½ ² Ⅷ ٣٤٥ ①②", "x=f(y[0])+3.14; // a/b\r\n\t\tif",
    "北京的大海 and 東京の海は青い、カタカナー。", "한국어 텍스트 ㄱㄴ ㅏㆎ ㄅㄆㄇ",
    "！…“”‘’—：；，、〿︰﹏ 「x」", "e\u0301a\u0308\u0323 \u0301 हिन्दी ไทย עברית",
    "Å \u212b \uac01\u1100\u1161\u11a8 \u0958 \ufb1d q\u0307\u0323 cafe\u0301e\u0301e",
    "👍🏽 👨‍👩‍👧 🇩🇪 ☃♥", "a\u00a0b\u3000c\u2028d\u0085e\u000bf", "\u200b\u00ad\x00\x7f",
    "<|bos|>the<|user|> <|user|>more|>  <|eos|>  x", " sailor sailors asailor.",
    "a_b foo_bar __init__ $5 €5 #x @y", "aaabbb abcabx ab\nab\r\n", "   ", "\n \n",
]


def changed(definition, changes):
    result = json.loads(definition)
    for path, value in changes.items():
        place, keys = result, path.split("/")
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
    return result


def generate():
    definition = (HERE / "tokenizer.json").read_text(encoding="utf-8")
    out = {"texts": TEXTS, "forms": [], "patterns": []}
    for name, changes in forms.FORMS.items():
        tokenizer = Tokenizer.from_str(json.dumps(changed(definition, changes)))
        tokenizer.no_padding()
        alone = [tokenizer.encode(text, add_special_tokens=False).ids
                 for text in TEXTS]
        around = tokenizer.encode("").ids
        # The template's tokens stand around every text.
        middle = sum(tokenizer.encode("a").ids[i] == around[i]
                     for i in range(len(around)))
        for text, ids in zip(TEXTS, alone):
            assert tokenizer.encode(text).ids == (
                around[:middle] + ids + around[middle:])
        out["forms"].append({"name": name, "changes": changes,
                             "before": around[:middle],
                             "after": around[middle:], "ids": alone})
    for pattern in forms.PATTERNS:
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
        # Characters of each piece, text by text.
        out["patterns"].append([pattern, [
            [len(piece) for piece, _ in cut.pre_tokenize_str(text)]
            for text in TEXTS]])
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    out = generate()
    text = "{" + ",\n".join(
        f'"{key}":[\n' + ",\n".join(
            json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            for row in rows) + "\n]" for key, rows in out.items()) + "}\n"
    path = HERE / "forms.json"
    if not options.check:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        sys.exit(f"{path} differs from what this script generates")
    print(f"{len(out['forms'])} forms, {len(out['patterns'])} patterns")


if __name__ == "__main__":
    main()
