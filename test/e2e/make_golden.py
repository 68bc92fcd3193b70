"""Regenerates test/e2e/golden/*.npz from transformers in float32.

    make_golden.py [--out DIR] [NAME ...]

Needs torch and transformers of the version reference.PINNED. Each file belongs
to one configuration of make_configs.py and holds ids int32 [96] (the prompt),
positions int32 [n], logits float32 [n, vocab] at those positions, margin
float32 [96], greedy int32 [64] with its gap, and transformers' version. A file
is written only if the float64 oracle, which was written without looking at
transformers, gives the same logits (1 - cos < 1e-10) in both attention forms.
"""

import argparse
import os
import tempfile

import make_configs
import numpy as np
import reference
from metrics import one_minus_cos
from oracle import Oracle

PROMPT = 96
GREEDY_PROMPT = 8
GREEDY = 64


def positions():
    """Returns the stored positions: the first 24, then every fourth, the last."""
    return np.array([*range(24), *range(24, PROMPT - 1, 4), PROMPT - 1], np.int32)


def make(name, out):
    """Writes out/NAME.npz; returns the line to print."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        model, config = reference.load(make_configs.write(name, folder))
    ids = make_configs.prompt_ids(name, PROMPT)
    result = reference.run(model, config, ids)
    short = reference.run(model, config, ids[:GREEDY_PROMPT], GREEDY)
    worst = 0.0
    for attention in ("expanded", "absorbed"):
        oracle = Oracle(config, make_configs.make_tensors(name), "w8a16", attention)
        ours = oracle.run(ids)
        worst = max(worst, one_minus_cos(result["logits"], ours["logits"]).max())
        if worst > 1e-10:
            raise SystemExit(f"{name} {attention}: oracle differs, 1-cos {worst:.1e}")
    at = positions()
    np.savez(
        os.path.join(out, name + ".npz"), ids=np.array(ids, np.int32), positions=at,
        logits=result["logits"][at], margin=result["margin"].astype(np.float32),
        greedy_prompt=np.int32(GREEDY_PROMPT), greedy=short["greedy"],
        gap=np.float32(short["gap"]), version=np.array(transformers.__version__))
    return (f"{name:18} oracle 1-cos {worst:.1e}, greedy gap {short['gap']:.1e}, "
            f"margin under 1e-3 at {(result['margin'] < 1e-3).mean():.1%}")


def make_beyond(name, out):
    """Writes out/NAME.npz of a model with an indexer, read one token beyond
    index_topk: ids int32 [n + 1] and logits float32 [n + 1, vocab], of which the
    oracle, which is dense, has the first n rows and not the last."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        model, config = reference.load(make_configs.write(name, folder))
    ids = make_configs.prompt_ids(name, config["index_topk"] + 1)
    want = reference.run(model, config, ids)["logits"]
    oracle = Oracle(config, make_configs.make_tensors(name))
    distance = one_minus_cos(want, oracle.run(ids)["logits"])
    if distance[:-1].max() > 1e-10 or distance[-1] < 1e-6:
        raise SystemExit(f"{name}: 1-cos {distance[:-1].max():.1e} up to "
                         f"index_topk, {distance[-1]:.1e} beyond")
    np.savez(os.path.join(out, name + ".npz"), ids=np.array(ids, np.int32),
             logits=want, version=np.array(transformers.__version__))
    return (f"{name:18} oracle 1-cos {distance[:-1].max():.1e} up to index_topk, "
            f"{distance[-1]:.1e} beyond")


def main():
    parser = argparse.ArgumentParser()
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default=os.path.join(here, "golden"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    import transformers

    if transformers.__version__ != reference.PINNED:
        raise SystemExit(f"transformers {reference.PINNED} is needed for golden "
                         f"files, found {transformers.__version__}")
    os.makedirs(args.out, exist_ok=True)
    for name in args.names or [*make_configs.CONFIGS, *make_configs.BEYOND]:
        one = make_beyond if name in make_configs.BEYOND else make
        print(one(name, args.out), flush=True)


if __name__ == "__main__":
    main()
