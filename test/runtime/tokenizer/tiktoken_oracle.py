#!/usr/bin/env python3
"""tiktoken vocabularies against tiktoken itself, with the pattern and the wrapper of
Kimi-K2's family.

    tiktoken_oracle.py --write                     writes fixture-tiktoken/
    tiktoken_oracle.py --check                     that it is what --write writes
    tiktoken_oracle.py ENCODE_LINES [--directory D] [--count N] [--seed S]
                       [--code-points] [--long]    random texts

--directory: with files of the family (tiktoken.model, tokenizer_config.json), instead
of the small vocabulary that is trained here. --long: texts beyond the lengths at which
the wrapper cuts. Exits 77 where tiktoken is missing.
"""
import argparse
import base64
import collections
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import tiktoken
except ImportError:
    print("SKIPPED: needs the Python package tiktoken")
    sys.exit(77)

HERE = pathlib.Path(__file__).parent
FIXTURE = HERE / "fixture-tiktoken"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
BEFORE = r"[^\r\n\p{L}\p{N}]?"
PATTERN = "|".join([r"[\p{Han}]+", BEFORE + UPPER + "*" + LOWER + "+" + SUFFIX,
                    BEFORE + UPPER + "+" + LOWER + "*" + SUFFIX, r"\p{N}{1,3}",
                    r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
SIZE, RESERVED = 400, 256  # of the trained vocabulary
MOST, MOST_OF_ONE_KIND = 400_000, 25_000
CONTROLS = ["[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>"]

CORPUS = ("the old sailor remembers the name of the ship and the sea, the Sea, THE SEA; it's "
          "what he'd told them: they're his, aXa aXa Xa aX abab bab aba. in 1234 and 12 ships "
          "中文字中文字的 中文 漢字 привет мир éé naïve HTTPServer camelCase  \n\n\t x = y; "
          "foo_bar(x) -> y;\r\n    return x\n") * 3


def train(count):
    """Ranks of |count| tokens: bytes, then pairs by frequency over words, ties by bytes."""
    import re
    words = collections.Counter(re.findall(r" ?\w+|\s+|[^\w\s]+", CORPUS))
    parts = {word: [bytes([b]) for b in word.encode()] for word in words}
    # Not in the order of their values, as no real file has them.
    tokens = [bytes([b]) for b in sorted(range(256), key=lambda b: (b * 97) % 256)]
    while len(tokens) < count:
        pairs = collections.Counter()
        for word, number in words.items():
            for pair in zip(parts[word], parts[word][1:]):
                pairs[pair] += number
        known = set(tokens)
        best = max((pair for pair in pairs if pair[0] + pair[1] not in known),
                   key=lambda pair: (pairs[pair], pair))
        tokens.append(best[0] + best[1])
        for word, list_ in parts.items():
            joined, i = [], 0
            while i < len(list_):
                step = 2 if tuple(list_[i:i + 2]) == best else 1
                joined.append(b"".join(list_[i:i + step]))
                i += step
            parts[word] = joined
    return {token: rank for rank, token in enumerate(tokens)}


def fixture_files():
    ranks = train(SIZE)
    model = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())
    # Two of the places have names, the last one has none of its own.
    config = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]",
              "added_tokens_decoder": {
                  str(SIZE + place): {"content": content, "special": special, "lstrip": False,
                                     "rstrip": False, "normalized": False, "single_word": False}
                  for place, content, special in [(0, "[BOS]", True), (1, "[EOS]", True),
                                                  (2, "<|im_end|>", True),
                                                  (7, "<|im_user|>", False)]}}
    return model, json.dumps(config, indent=1) + "\n"


class Reference:
    """The wrapper: specials count, long texts are cut."""

    def __init__(self, model, config):
        ranks = {}
        for line in model.splitlines():
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
        named = {int(i): entry["content"]
                 for i, entry in json.loads(config)["added_tokens_decoder"].items()}
        self.specials = {named.get(i, f"<|reserved_token_{i}|>"): i
                         for i in range(len(ranks), len(ranks) + RESERVED)}
        self.encoding = tiktoken.Encoding("oracle", pat_str=PATTERN, mergeable_ranks=ranks,
                                          special_tokens=self.specials)

    @staticmethod
    def runs(text):
        begin, length, was_space = 0, 0, text[:1].isspace()
        for i, c in enumerate(text):
            if c.isspace() != was_space:
                length, was_space = 1, c.isspace()
                continue
            length += 1
            if length > MOST_OF_ONE_KIND:
                yield text[begin:i]
                begin, length = i, 1
        yield text[begin:]

    def encode(self, text, specials):
        ids = []
        for i in range(0, len(text), MOST):
            for part in self.runs(text[i:i + MOST]):
                ids += (self.encoding.encode(part, allowed_special="all") if specials
                        else self.encoding.encode(part, disallowed_special=()))
        return ids


FIXED = ["", " ", "  ", "\n", "a\n", " \n a", "the sea", "The Sea", "THE SEA", "THESea", "theSEA",
         "it's", "IT'S", "it'\u017f", "it'ſ!", "they're", "THEY'RE", "he'd've", "'s", "''s",
         "aXa", "aX|a", "abab", "ababa", "bab", "中文字", "中文abc", "abc中文", "A中b", "々〇", "中 文",
         "漢字かな", "ᄀ가", "1234567", "12 345", "½Ⅷ", "é", "e\u0301", "E\u0301A", "\u0301", "x\u0301's",
         "ǅungla", "ʰa", "ªA", "!x", "!!x", " !x", "_a", "a_b", "#\n", "#\r\n\r\n", " #\n", "\r", "\t\t",
         "\u3000", "a\u3000 b", "[BOS]", "[BOS]x", "x<|im_user|>", "<|im_end", "<|reserved_token_403|>",
         "<|reserved_token_400|>", "<|reserved_token_655|>", "<|reserved_token_656|>", "x" * 130,
         "the" * 60, " " * 70, "👍🏽 👨‍👩‍👧", "\ufeffa", "\U00020000\U0003134f", "\U000323b0a", "\ufffd"]

WORDS = CORPUS.split() + ["it's", "DON'T", "I'LL", "ſ", "K", "ß", "ǅ", "ʰʱ", "ªº", "々", "〇", "〡", "가나",
                          "日本語", "カナ", "e\u0301", "हिन्दी", "ไทย", "العربية", "½", "①", "٣٤", "👍🏽", "_", "'", "''"]
SPACES = [" ", "  ", "\n", "\r\n", "\n\n", " \n", "\t", "\u00a0", "\u3000", "\u2028", "\x1c", "\u0085"]


def random_text(rng, specials):
    parts = []
    for _ in range(rng.randint(1, 24)):
        choice = rng.randrange(10)
        if choice < 4:
            parts.append(rng.choice(WORDS))
        elif choice < 6:
            parts.append(rng.choice(SPACES))
        elif choice == 6:
            parts.append(str(rng.randrange(10 ** rng.randint(1, 9))))
        elif choice == 7:
            parts.append("".join(chr(rng.choice([rng.randint(0x20, 0x7e), rng.randint(0xa0, 0x600),
                                                 rng.randint(0x2e80, 0x31ff),
                                                 rng.randint(0x4e00, 0x9fff)]))
                                 for _ in range(rng.randint(1, 8))))
        elif choice == 8:
            token = rng.choice(specials)
            parts.append(token if rng.random() < 0.5 else token[:rng.randint(1, len(token))])
        else:
            code = rng.randrange(0x110000)
            parts.append(chr(code) if not 0xD800 <= code < 0xE000 else "?")
    return "".join(parts)


def all_code_points():
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for begin in range(0, len(codes), 64):
        part = [chr(c) for c in codes[begin:begin + 64]]
        for between in ("", "a", "A", "中", " ", "! "):
            yield between.join(part)


def long_texts(rng):
    for unit, count in [("x", 60_000), (" ", 60_000), ("中", 25_001), ("ab ", 140_000), ("\x1c ", 13_000),
                        ("the sea ", 60_000)]:
        yield unit * count
    yield "".join(random_text(rng, CONTROLS) for _ in range(12_000))
    yield "x" * (MOST - 3) + "[BOS]" + "x" * 30_000


def compare(encode_lines, directory, reference, texts):
    mismatches = 0
    for policy in ("none", "all"):
        with tempfile.TemporaryFile("w+", encoding="utf-8") as lines:
            lines.writelines(json.dumps(text) + "\n" for text in texts)
            lines.seek(0)
            run = subprocess.run([encode_lines, directory, policy], stdin=lines, capture_output=True,
                                 text=True, check=False)
        results = run.stdout.split("\n")[:-1]
        if run.returncode or len(results) != len(texts):
            sys.exit(f"encode_lines failed: {run.stderr}")
        for text, result in zip(texts, results):
            ids, whole, pieces = result.split("\t")
            found, expected = [int(i) for i in ids.split()], reference.encode(text, policy == "all")
            if found == expected and json.loads(whole) == text and json.loads(pieces) == text:
                continue
            mismatches += 1
            if mismatches <= 20:
                at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b),
                          min(len(found), len(expected)))
                print(f"{policy} {text[:200]!r}\n  at {at}: expected {expected[at:at + 12]}, "
                      f"found {found[at:at + 12]}")
    return mismatches


def write(check):
    model, config = fixture_files()
    reference = Reference(model, config)
    cases = [[text, reference.encode(text, False), reference.encode(text, True)] for text in FIXED]
    files = {"tiktoken.model": model, "tokenizer_config.json": config,
             "expected.json": "[\n" + ",\n".join(json.dumps(case, separators=(",", ":"))
                                                 for case in cases) + "\n]\n"}
    for name, text in files.items():
        if not check:
            FIXTURE.mkdir(exist_ok=True)
            (FIXTURE / name).write_text(text, encoding="utf-8")
        elif (FIXTURE / name).read_text(encoding="utf-8") != text:
            sys.exit(f"{FIXTURE / name} differs from what this script writes")
    print(f"{len(cases)} texts")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encode_lines", nargs="?")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--directory", type=pathlib.Path, default=FIXTURE)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--code-points", action="store_true")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args()
    if args.write or args.check:
        return write(args.check)
    reference = Reference((args.directory / "tiktoken.model").read_text(),
                          (args.directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    rng = random.Random(args.seed)
    specials = [token for token in reference.specials if not token.startswith("<|reserved")][:20]
    specials += list(reference.specials)[-3:]
    texts = list(all_code_points()) if args.code_points else []
    texts += long_texts(rng) if args.long else []
    texts += [random_text(rng, specials) for _ in range(args.count)]
    mismatches = compare(args.encode_lines, args.directory, reference, texts)
    print(f"{len(texts)} texts, {mismatches} mismatches")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
