"""Logits of multi-token prediction against the float64 oracle.

    drafts.py --bin build/bin --runner build/unittests/DraftLogits [--quick]
              [--device cpu|sim]

Random checkpoints with a layer of multi-token prediction are compiled with
`--mtp`; DraftLogits runs their entries over one sequence: a prompt in chunks, then
ids that are verified K + 1 at a time, then drafts from drafts. The model's and the
drafts' logits are held against oracle.py at every position. Then the oracle makes a
mistake, one at a time, and the same bounds must reject it. On the simulator: sm_90a
artifacts with bf16 activations, one configuration. One line a row, then `N passed, M
failed`.

Bounds: f32, 1 - cos < 1e-8 and the largest logit the same, where the router's
margin exceeds 1e-6; bf16 (sim), median 1 - cos < 2e-4 where it exceeds 1e-2.
"""

import os
import subprocess

import make_configs
import numpy as np
import script
from metrics import one_minus_cos
from oracle import Oracle

PROMPT, IDS, CHUNK = 41, 64, 16


class Mutant(Oracle):
    """An oracle that makes the mistake `mistake`, or none."""

    mistake = None

    def draft_input(self, e, h):
        if self.mistake == "halves swapped":
            return np.concatenate([h, e], -1)
        return super().draft_input(e, h)

    def norm(self, name, x, eps):
        skipped = {"h before model.norm": "model.norm.weight",
                   "pre-norm feedback": self.draft_norm}.get(self.mistake)
        if self.drafting and name == skipped and x is self.fed:
            return x
        return super().norm(name, x, eps)

    def attend(self, at, x, positions, past):
        if self.drafting and self.mistake == "position + 1":
            # Of what was generated: only distances between positions show.
            positions = positions + (positions >= PROMPT)
        return super().attend(at, x, positions, past)

    drafting, fed = False, None

    def draft(self, ids, hidden, past=None, **options):
        self.drafting, self.fed = True, hidden
        try:
            return super().draft(ids, hidden, past, **options)
        finally:
            self.drafting = False


MISTAKES = ("halves swapped", "h before model.norm", "position + 1",
            "wrong token at a chunk's end", "pre-norm feedback")


def expect(config, tensors, ids, chain, mistake=None, **how):
    """Returns ([n, 2, V] logits, [chain, V] logits, margin [n], [chain])."""
    oracle = Mutant(config, tensors, "w8a16", **how)
    oracle.mistake = mistake
    main = oracle.run(ids[:-1])
    after = list(ids[1:])
    if mistake == "wrong token at a chunk's end":
        for end in range(CHUNK - 1, PROMPT - 1, CHUNK):
            after[end] = ids[end]
    draft = oracle.draft(after, main["hidden"][-1])
    margin = np.minimum(np.minimum.accumulate(main["margin"]),
                        np.minimum.accumulate(draft["margin"]))
    rows, last, past = [], draft["hidden"][-1:], draft["past"]
    margins = [margin[-1]]
    for token in chain:
        step = oracle.draft([token], last, past, norm=oracle.draft_norm)
        last, past = step["hidden"], step["past"]
        rows.append(step["logits"][0])
        margins.append(min(margins[-1], step["margin"][0]))
    both = np.stack([main["logits"], draft["logits"]], 1)
    return both, np.array(rows), margin, np.array(margins[1:])


def largest_error(found, expected, keep):
    """Returns (largest 1 - cos, positions whose largest logit differs)."""
    worst, differ = 0.0, 0
    for a, b in zip(found[keep], expected[keep]):
        worst = max(worst, float(one_minus_cos(a[None], b[None])[0]))
        differ += int(a.argmax() != b.argmax())
    return worst, differ


class Suite:
    def __init__(self, args, work, report):
        self.args, self.work, self.report = args, work, report

    def call(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True,
                              timeout=600)
        if done.returncode:
            tail = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
            raise script.ToolError(f"{command[0]}: status {done.returncode}: "
                                   + " | ".join(tail))

    def run(self, name, drafts, activations, extra=()):
        """Returns what the built entries give for configuration `name`."""
        args, config = self.args, make_configs.find(name)[0]
        model = os.path.join(self.work, name)
        if not os.path.isdir(model):
            make_configs.write(name, self.work)
        artifact = os.path.join(self.work, f"{name}-{drafts}.hadal")
        target = (["--target=cpu", "--images=native", "--fp8=w8a16"]
                  if args.device == "cpu"
                  else ["--target=sm_90a", "--ptxas=none"])
        self.call(
            os.path.join(args.bin, "hadal-compile"), model, "-o", artifact, *target,
            "--max-batch-size=4", "--max-seq-len=128", "--decode-buckets=1,4",
            "--prefill-buckets=16,64", "--mtp", drafts, "--activations",
            activations, *extra)
        ids = make_configs.prompt_ids(name, IDS)
        chain = make_configs.prompt_ids(name, drafts, 1)[1:]
        output = os.path.join(self.work, "logits.bin")
        self.call(
            args.runner, artifact,
            "--weights", model, "--device", args.device, "--quiet",
            "--ids", ",".join(map(str, ids)), "--prompt", PROMPT, "--chunk", CHUNK,
            *(["--chain", ",".join(map(str, chain))] if chain else []),
            "--output", output)
        values = np.fromfile(output, np.float32).reshape(-1, config["vocab_size"])
        n = 2 * (IDS - 1)
        return ids, chain, values[:n].reshape(IDS - 1, 2, -1), values[n:]

    def compare(self, name, drafts, extra=(), mistakes=()):
        label = " ".join([name, f"--mtp {drafts}", *extra])
        made = []

        def results(mistake=None):
            """Returns {part: (worst 1 - cos, argmax that differ, positions)}."""
            config = make_configs.find(name)[0]
            if not made:
                made.append((make_configs.make_tensors(name),
                             *self.run(name, drafts, "f32", extra)))
            tensors, ids, chain, found, chained = made[0]
            expected, steps, margin, margins = expect(
                config, tensors, ids, chain, mistake)
            keep = margin > 1e-6
            parts = [("model", found[:, 0], expected[:, 0], keep)]
            for part, at in (("prompt", np.s_[:PROMPT]), ("decode", np.s_[PROMPT:])):
                parts.append((part, found[at, 1], expected[at, 1], keep[at]))
            if chain:
                parts.append(("chain", chained, steps, margins > 1e-6))
            return {part: (*largest_error(a, b, kept), int(kept.sum()))
                    for part, a, b, kept in parts}

        def good(result):
            worst, differ, count = result
            return worst < 1e-8 and not differ and count > 0

        def right():
            found = results()
            return all(map(good, found.values())), "; ".join(
                "%s 1-cos %.1e, %d argmax differ of %d" % (part, *result)
                for part, result in found.items())

        def wrong(mistake):
            bad = [part for part, result in results(mistake).items()
                   if not good(result)]
            return (bool(bad) and "model" not in bad,
                    "rejected by " + (", ".join(bad) or "nothing"))

        self.report.row(label, right)
        for mistake in mistakes:
            self.report.row(f"{label}, mistake: {mistake}", lambda: wrong(mistake))

    def simulate(self, name):
        def check():
            config = make_configs.find(name)[0]
            tensors = make_configs.make_tensors(name)
            ids, chain, found, chained = self.run(name, 2, "bf16")
            expected, steps, margin, margins = expect(
                config, tensors, ids, chain, attention="absorbed",
                activations="bf16", bf16_kv_b=True)
            keep = margin > 1e-2
            errors = [float(np.median(one_minus_cos(a, b))) for a, b in (
                (found[keep, 0], expected[keep, 0]),
                (found[keep, 1], expected[keep, 1]), (chained, steps))]
            return (keep.sum() > 8 and max(errors) < 2e-4,
                    "median 1-cos: model %.1e, drafts %.1e, chain %.1e" % (*errors,))

        self.report.row(f"{name} on the simulator", check)


def run(args, work, report):
    suite = Suite(args, work, report)
    if args.device == "sim":
        suite.simulate("mtp-dense")
        return
    suite.compare("mtp", 2, mistakes=MISTAKES)
    suite.compare("mtp-odd", 1)
    suite.compare("mtp-fp8", 3)
    if not args.quick:
        suite.compare("mtp", 2, ("--no-deterministic",))
        suite.compare("mtp-dense", 3)
        suite.compare("mtp-tied", 1)


if __name__ == "__main__":
    script.main("drafts", run, script.QUICK, ("--runner", {"required": True}),
                ("--device", {"default": "cpu", "choices": ["cpu", "sim"]}))
