"""Forms of tokenizer.json that checkpoints of the family and their neighbours
have: changes to fixture/tokenizer.json, and the patterns they are made of.
"""
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
        r"|\s+(?!\S)|\s+")
GLM4 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL)
QWEN2 = GLM4.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
GPT4O = "|".join(
    [rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?",
     rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?",
     r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", TAIL])
YOUTU = ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
         GPT4O.replace(r"\p{N}{1,3}", r"\p{N}")]
TEKKEN = GPT4O.replace(CONTRACTIONS + "?", "").replace(r"\p{N}{1,3}", r"\p{N}")


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior,
            "invert": invert}


def byte_level(space=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": space,
            "trim_offsets": True, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def template(before, after=()):
    def token(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}
    ids = {"<|bos|>": 0, "<|eos|>": 1}
    return {"type": "TemplateProcessing",
            "single": [token(t) for t in before]
            + [{"Sequence": {"id": "A", "type_id": 0}}]
            + [token(t) for t in after],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]}
                               for t in sorted({*before, *after})}}


def added(first_id, *contents, **flags):
    return [{"id": first_id + i, "content": c, "single_word": False,
             "lstrip": False, "rstrip": False, "normalized": False,
             "special": True, **flags} for i, c in enumerate(contents)]


# name -> changes, by the path of a member.
FORMS = {
    "ByteLevel alone": {"pre_tokenizer": byte_level(regex=True)},
    "ByteLevel alone, no word": {"pre_tokenizer": byte_level()},
    "ByteLevel with a space": {
        "pre_tokenizer": byte_level(space=True, regex=True)},
    "ByteLevel with a space, no word": {"pre_tokenizer": byte_level(space=True)},
    "a space before each word": {
        "pre_tokenizer": sequence(split(r"\p{L}+"), byte_level(space=True))},
    "GPT-2, split": {"pre_tokenizer": sequence(split(GPT2), byte_level())},
    "GLM-4": {"pre_tokenizer": sequence(split(GLM4), byte_level())},
    "Qwen2": {"pre_tokenizer": sequence(split(QWEN2), byte_level())},
    "cl100k": {"pre_tokenizer": sequence(split(CL100K), byte_level())},
    "GPT-4o": {"pre_tokenizer": sequence(split(GPT4O), byte_level())},
    "tekken": {"pre_tokenizer": sequence(split(TEKKEN), byte_level())},
    "Youtu": {"pre_tokenizer": sequence(*map(split, YOUTU), byte_level()),
              "model/ignore_merges": True},
    "GPT-4o, removed and inverted": {
        "pre_tokenizer": sequence(split(GPT4O, "Removed", True), byte_level())},
    "DeepSeek-V2": {
        "pre_tokenizer": sequence(
            split("[\r\n]"), split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳ]+"),
            split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), split(r"\s+$"),
            split("[一-龥ࠀ-一가-퟿]+"),
            {"type": "Digits", "individual_digits": True}, byte_level())},
    "digits together": {
        "pre_tokenizer": sequence(
            {"type": "Digits", "individual_digits": False},
            sequence(sequence(split(" ", kind="String")), byte_level(regex=True)))},
    "pieces joined": {
        "pre_tokenizer": sequence(
            split(r"\s", "MergedWithNext"), split("[.,!?]", "MergedWithPrevious"),
            split(r"\p{N}", "Contiguous"), byte_level())},
    "normal form C": {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": sequence(split(GPT4O), byte_level())},
    "normal form C in a sequence": {
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Sequence", "normalizers": []}, {"type": "NFC"}]},
        "added_tokens": added(0, "<|bos|>", "<|eos|>")
        + added(558, "caf\u00e9", "e\u0301e", normalized=True)
        + added(560, "a\u0308\u0323")},
    "BOS by template": {"post_processor": template(["<|bos|>"])},
    "two tokens before, one after": {
        "post_processor": template(["<|eos|>", "<|bos|>"], ["<|eos|>"])},
    "tokens that strip": {
        "added_tokens": added(0, "<|bos|>", "<|eos|>", lstrip=True)
        + added(558, "<|user|>", rstrip=True, special=False)
        + added(559, "<|user|>more", lstrip=True, rstrip=True)
        + added(560, "sailor", single_word=True, normalized=True)},
    "what is harmless": {
        "model/unk_token": "<|bos|>", "model/byte_fallback": True,
        "model/fuse_unk": True, "model/dropout": None,
        "model/continuing_subword_prefix": "", "model/end_of_word_suffix": "",
        "decoder": {"type": "Sequence",
                    "decoders": [byte_level(), {"type": "Fuse"}]},
        "padding": {"strategy": "BatchLongest", "direction": "Right",
                    "pad_to_multiple_of": None, "pad_id": 1,
                    "pad_type_id": 0, "pad_token": "<|eos|>"}},
}

# Patterns alone: what they cut is compared, piece by piece.
PATTERNS = [
    GPT2, GLM4, QWEN2, CL100K, GPT4O, TEKKEN, *YOUTU,
    r"\p{N}{1,3}", r"\s+$", r"^\s+", r"\s?[a-z]+", r"[^\S\n]+", r".", r".+",
    r"a|ab|abc", r"abc|ab|a", r"(?:ab)+c?", r"(a|b)+?c", r"a{2}", r"a{2,}",
    r"a{,2}b", r"a{1,3}?b", r"(?i:HeLLo|k)", r"(?i:[a-f]+)", r"(?i:s)",
    r"[\p{L}&&[^aeiou]]+", r"[^\p{L}\s]", r"[[a-c][x-z]]+", r"\P{L}+",
    r"\p{^L}+", r"\w+", r"\W+", r"\d+|\D", r"[\w.]+", r"\p{Lu}\p{Ll}*",
    r"\p{Pc}|\p{Sm}+|\p{Zs}", r"\p{C}+", r"\p{M}", r"x(?=y)|y(?!x)",
    r"\A\w|\w\z", r"[a\-z]+", r"[-a]+", r"[a-]+", r"\x{4e00}|\u4e2d|\t",
    r"(?:(?:a|b)c|d)*e", r"a*b|a", r"\s*[\r\n]|\s", r"\S+?(?=\s)",
    "[’']|[“”]", r"\p{Nd}+|\p{Nl}+|\p{No}+",
]
