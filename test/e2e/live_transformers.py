"""Holds the oracle, and the tools if given, against transformers as installed.

    live_transformers.py [--bin build/bin]

Unlike the golden files this runs whatever torch and transformers are there, on
prompts of its own. Prints one line a configuration and `N passed, N failed`;
prints `skipped: ...` and ends well where torch or transformers is missing.
"""

import importlib.util

import compare
import make_configs
import script
from metrics import one_minus_cos, relative_error
from oracle import Oracle

PROMPT = 120


def run(args, work, report):
    import reference
    import transformers

    new_enough = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 20)
    tools = compare.Tools(args.bin, work, 2) if args.bin else None
    for name in make_configs.CONFIGS:
        if name == "v3-negative-bias" and not new_enough:
            continue  # older releases mask excluded groups with 0, not -inf
        ids = make_configs.prompt_ids(name, PROMPT, 99)
        model, config = reference.load(make_configs.write(name, work))
        want = reference.run(model, config, ids)["logits"]

        def hold(got, bound):
            distance = one_minus_cos(got, want).max()
            worst = relative_error(got, want).max()
            return (distance < bound and worst < 1e-4,
                    f"1-cos {distance:.1e}, max error {worst:.1e}")

        for attention in ("absorbed", "expanded"):
            oracle = Oracle(
                config, make_configs.make_tensors(name), "w8a16", attention)
            logits = oracle.run(ids)["logits"]
            report.row(f"{name} {attention} oracle",
                       lambda g=logits: hold(g, 1e-10))
            if tools:
                fp8 = "w8a16" if name.endswith("-fp8") else None
                report.row(f"{name} {attention} tools", lambda k=(
                    name, attention, "f32", fp8): hold(
                        tools.logits(k, [ids])[0], 1e-8))


if __name__ == "__main__":
    missing = [module for module in ("torch", "transformers")
               if importlib.util.find_spec(module) is None]
    if missing:
        print(f"skipped: {missing[0]} is not importable")
    else:
        script.main("live", run, need_bin=False)
