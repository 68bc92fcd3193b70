"""Regenerates golden/tiny.json: what models/tiny says, by transformers.

    make_tiny_golden.py [--model DIR] [--out FILE]

Float32 with dequantised weights (w8a16). Each entry of "greedy" holds a prompt,
its ids, the greedy continuation as ids and as text, and the smallest gap between
the two largest logits on the way: equality of free-running text is asked for
only because these gaps are far above a float32 kernel's error. "held_out" is a
passage that training did not see, with its ids and its mean nats per token.
Needs torch, transformers, tokenizers.
"""

import argparse
import json
import os
import sys

import numpy as np
import reference
from metrics import nats_per_token

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "../../models/tiny")
PROMPTS = [
    "In the beginning",
    "And it came to pass, when",
    "And the LORD spake unto Moses, saying,",
    "The words of the wise",
    "Blessed are they that",
    "Now the sons of Judah were 12,",
]
TOKENS = 48
HELD_OUT = 0  # index of a held-out chapter
PASSAGE = 900  # characters


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=TINY)
    parser.add_argument("--out", default=os.path.join(HERE, "golden/tiny.json"))
    args = parser.parse_args()
    import tokenizers

    sys.path.insert(0, TINY)
    import text

    tok = tokenizers.Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))
    model, config = reference.load(args.model)
    result = dict(tokens=TOKENS, greedy=[], held_out={})
    for prompt in PROMPTS:
        ids = [0] + tok.encode(prompt, add_special_tokens=False).ids
        found = reference.run(model, config, ids, TOKENS)
        greedy = found["greedy"].tolist()
        if 1 in greedy:
            greedy = greedy[: greedy.index(1)]
        result["greedy"].append(dict(
            prompt=prompt, ids=ids, greedy=greedy, text=tok.decode(greedy),
            gap=round(float(found["gap"]), 5)))
        print(f"{float(found['gap']):.4f} {prompt}|{tok.decode(greedy)}")
    passage = text.split()[1][HELD_OUT][:PASSAGE]
    ids = [0] + tok.encode(passage, add_special_tokens=False).ids
    logits = reference.run(model, config, ids)["logits"].astype(np.float64)
    result["held_out"] = dict(
        text=passage, ids=ids, nats=round(float(nats_per_token(logits, ids)), 6))
    print(f"{len(ids)} tokens held out, {result['held_out']['nats']} nats a token")
    with open(args.out, "w") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
