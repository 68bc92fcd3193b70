#!/usr/bin/env python3
"""Regenerates the tokenizer fixture: fixture/tokenizer.json, a small byte-level
BPE trained with DeepSeek-V3's pre-tokenizer on text built here, and
fixture/expected.json, texts with the ids that Hugging Face tokenizers gives.

    generate_fixture.py [--check]     --check: compare with the files in the tree
"""
import argparse
import json
import pathlib
import sys

try:
    from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                            pre_tokenizers, processors, trainers,
                            __version__ as version)
except ImportError:
    version = "none"
if not version.startswith("0.23."):
    print(f"SKIPPED: needs the Python package tokenizers 0.23, found {version}")
    sys.exit(77)

HERE = pathlib.Path(__file__).parent / "fixture"
WORDS = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
         "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
         "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")

SUBJECTS = ["the sea", "a small boat", "the old sailor", "every wave",
            "the night", "a light", "die große Straße", "le café noir",
            "北京的大海", "東京の海", "море", "η θάλασσα"]
VERBS = ["holds", "carries", "loses", "remembers", "doesn't follow", "kennt",
         "n'oublie pas", "看见", "は知っている", "помнит", "γνωρίζει"]
OBJECTS = ["the shore", "two hundred and 40 fish", "its name", "1234567 stars",
           "what it can't keep", "den Weg", "l'étoile", "星星", "カモメ",
           "ветер", "τον άνεμο", "x = f(y[0]) + 3.14;", "--- (end) ---",
           "\"quoted\" text...", "    indented\n        code\n", "\t\ttabs\r\n"]


def corpus():
    for i, subject in enumerate(SUBJECTS):
        for j, verb in enumerate(VERBS):
            for k, thing in enumerate(OBJECTS):
                yield f"{subject} {verb} {thing}{'.!?'[(i + j + k) % 3]}\n"


def texts():
    yield from ["", " ", "  ", "   ", "\n", "\n\n", "\r\n", " \n ", "\t", "\u00a0",
                "\u3000\u3000", "\u0085", "\u2028x", "a", "ab", "the", " the",
                "  the", "   the sea", "the  sea", "the\nsea", "the \n sea",
                "the sea ", "the sea  ", "the sea\n", "hello world",
                "Hello, World!", "HELLO", "don't", "DON'T", "'tis", "''a",
                "it's 5 o'clock", "1", "12", "123", "1234", "12345", "123456",
                "1234567", "a1b22c333d4444", "3.14159", "1,000,000", "1e10",
                "0x7fff", "½", "²³¹", "Ⅷ", "٣٤٥٦", "１２３４", "①②③④",
                "中", "中文", "中文 and English", "北京的大海", "東京の海は青い",
                "カタカナ", "ひらがな", "漢字かなカナ", "龥龦", "一", "ー", "・",
                "゠ヿ", "\u3099", "か\u3099", "\u309b", "한국어", "ไทย", "हिन्दी",
                "العربية", "עברית", "привет", "η θάλασσα", "naïve café",
                "e\u0301", "\u0301", "\u0301\u0301", " \u0301", "!\u0301",
                "a\u0308\u0323b", "👍", "👍🏽", "👨‍👩‍👧", "🇩🇪🇫🇷", "☃☃☃", "♥ x", "x♥",
                "!", "!!", "!!!", "!a", "!!a", "! a", " !a", "!é", "#define",
                "##x", "/usr/bin", "a/b", "a//b", "_x_", "__init__", "$5",
                "€5", "£a", "(x)", "[y]", "{z}", "<a>", "</a>", "a=b", "a==b",
                "->", "=>", "...", "…", "——", "“x”", "«x»", "¿qué?", "¡sí!",
                "、。", "「中」", "!\n", "!\r\n\r\n", "! \n", " !\n\n", "x!\n\ny",
                "\n!", "\n a", "\n  a", " \n  a", "\r", "\r\r\n", "\n\n\n", "\t\t",
                "\ta", "\t\ta", " \ta", "a\tb", "a\u00a0b", "a\u3000b",
                "\u200b", "\u200ba", "a\u200bb", "\ufeffa", "\u00ad", "\x00",
                "\x00a", "a\x00", "\x00\x00", "\x01\x02", "\x7f", "\u0080",
                "\u0378", "\u0378a", "\ue000", "\U000e0001", "\U0010ffff",
                "\ufffd", "\ufffe", "\u1c89", "\u088f", "if (x) {\n    y();\n}\n",
                "def f(x):\n\treturn x\n", "a" * 40, "ab" * 40, " " * 50,
                "\n" * 50, "!" * 50, "1" * 50, "é" * 40, "中" * 40, "the" * 30,
                "the sea " * 12, "a b c d e f g", "x" * 31, "x" * 32, "x" * 33,
                "thethesea" * 4, "<|bos|>", "<|bos|>the", "a<|user|>b",
                "<|user|", "<|user|><|user|>", "<|use", "<", "<<|bos|>",
                "<|user|>|>", "<|user|>more|>", " <|eos|> ", "sailor", "sailors",
                "the old sailor remembers its name."]


def build():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=700, show_progress=False,
        special_tokens=["<|bos|>", "<|eos|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_tokens([AddedToken("<|user|>", normalized=True),
                          AddedToken("<|user|>more", normalized=False),
                          AddedToken("sailor", normalized=True)])
    return tokenizer


def expected(definition):
    """Cases: text, ids with no added token, without special ones, with all."""
    plain = json.loads(definition)
    plain["added_tokens"] = []
    none = Tokenizer.from_str(json.dumps(plain))
    everything = Tokenizer.from_str(definition)
    nonspecial = Tokenizer.from_str(definition)
    nonspecial.encode_special_tokens = True
    return [[text] + [t.encode(text, add_special_tokens=False).ids
                      for t in (none, nonspecial, everything)]
            for text in texts()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    definition = json.dumps(json.loads(build().to_str()), ensure_ascii=False,
                            separators=(",", ":")) + "\n"
    files = {
        "tokenizer.json": definition,
        "tokenizer_config.json": json.dumps(
            {"add_bos_token": True, "bos_token": {"content": "<|bos|>"},
             "eos_token": "<|eos|>", "tokenizer_class": "LlamaTokenizerFast"},
            indent=1) + "\n",
        "expected.json": "[\n" + ",\n".join(
            json.dumps(case, separators=(",", ":"))
            for case in expected(definition)) + "\n]\n",
    }
    for name, text in files.items():
        path = HERE / name
        if not options.check:
            HERE.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} differs from what this script generates")
    print(f"{len(list(texts()))} texts")


main()
