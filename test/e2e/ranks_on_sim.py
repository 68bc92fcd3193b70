"""Ranks whose kernels are PTX on the simulator, against one rank there.

    ranks_on_sim.py --bin build/bin [--ranks 2,4] [--work DIR] [--only TEXT]

models/tiny, whole, for sm_90a: its experts over 2 and 4 ranks, with collectives that
take place when they start and when they are awaited, and asynchronous copies of
the kernels that do so. A prompt's call and three steps of a token each, on the
last rank fewer: all logits must be equal in every bit to those of one rank with
the rows of each, and the simulator must find nothing. Then v3-tp, whose heads and
tokens two ranks share: near one rank (NEAR), with every collective proved and equal
bits on both. One line a row, then `N passed, N failed`. Needs python3 and numpy.
"""

import os
import subprocess

import compare
import make_configs
import numpy as np
import script
from metrics import one_minus_cos

BATCH, PROMPT, STEPS = 2, 8, 3
ROWS = [[5, 17, 3, 9, 20, 4, 31, 2], [9, 4, 8], [100, 7, 7], [2, 3, 60],
        [44, 5, 6], [3, 90, 14], [8, 8, 21], [77]]
# Median of 1 - cos where sums are rounded to bf16 on the way.
NEAR = {"v3-tp": 1e-4, "v3-tp-fp8": 5e-3}


class OnSim:
    def __init__(self, bin_dir, work):
        self.bin, self.work = bin_dir, work
        self.artifacts, self.expected, self.models = {}, {}, {}

    def model(self, name):
        if name == "tiny":
            return compare.TINY
        if name not in self.models:
            self.models[name] = make_configs.write(name, self.work)
        return self.models[name]

    def call(self, tool, *args):
        done = subprocess.run(
            [os.path.join(self.bin, tool), *map(str, args)],
            capture_output=True, text=True, errors="replace", timeout=900)
        if done.returncode:
            raise script.ToolError(f"{tool}: status {done.returncode}: "
                                    f"{done.stderr.strip()[-600:]}")

    def artifact(self, name, layout):
        if (name, *layout) not in self.artifacts:
            path = os.path.join(self.work, name + "".join(layout) + ".hadal")
            self.call("hadal-compile", self.model(name), "-o", path,
                      "--target=sm_90a", "--ptxas=none", "--max-seq-len=64",
                      f"--max-batch-size={BATCH}", f"--decode-buckets={BATCH}",
                      f"--prefill-buckets={BATCH * PROMPT}", *layout)
            self.artifacts[(name, *layout)] = path
        return self.artifacts[(name, *layout)]

    def run(self, name, layout, rows, chunk, ranks, *extra, copies="eager"):
        output = os.path.join(self.work, "logits.npy")
        self.call("hadal-run", self.artifact(name, layout), "--weights",
                  self.model(name), "--device=sim", "--sim",
                  f"policy={copies}", "-q", "--input-ids",
                  ";".join(",".join(map(str, row)) for row in rows),
                  "--logits=all", "--output", output, "--prefill-chunk", chunk,
                  *([] if ranks == 1 else [f"--ranks={ranks}"]), *extra)
        return np.load(output)

    def one(self, ranks, rows, chunk):
        """What one rank gives for the rows of each, in the order of all."""
        key = (ranks, len(rows), chunk)
        if key not in self.expected:
            logits = [None] * len(rows)
            for r in range(ranks):
                mine = rows[r::ranks]
                ends = np.cumsum([len(row) for row in mine])[:-1]
                logits[r::ranks] = np.split(
                    self.run("tiny", [], mine, chunk, 1), ends)
            self.expected[key] = np.concatenate(logits)
        return self.expected[key]

    def check(self, ranks, chunk, comm, copies):
        rows = ROWS[:BATCH * ranks]
        rows = rows if chunk > 1 else [row[:STEPS] for row in rows[:-1]] + [
            rows[-1][:1]]
        found = self.run(
            "tiny", [f"--dp={ranks}", "--schedule-as=ep=1"], rows, chunk, ranks,
            f"--comm-policy={comm}", copies=copies)
        expected = self.one(ranks, rows, chunk)
        differing = (int(np.count_nonzero(found.view(np.uint32)
                                          != expected.view(np.uint32)))
                     if found.shape == expected.shape else -1)
        return differing == 0, f"{differing} of {expected.size} logits differ"

    def check_tp(self, name, chunk, policy):
        # A prompt that fills half of the bucket, whose other rows nobody wrote,
        # or steps of two.
        rows = [ROWS[0], ROWS[0][::-1]]
        rows = rows[:1] if chunk > 1 else [row[:STEPS] for row in rows]
        expected = self.run(name, [], rows, chunk, 1)
        found = self.run(name, ["--tp=2"], rows, chunk, 2,
                         "--check-collectives", f"--comm-policy={policy}",
                         copies=policy)
        distance = one_minus_cos(found, expected)
        return np.median(distance) < NEAR[name], compare.spread(distance)


def run(args, work, report):
    on_sim = OnSim(args.bin, work)
    for ranks in map(int, args.ranks.split(",")):
        for comm in ("eager", "lazy"):
            for copies in ("eager", "lazy"):
                for chunk in (PROMPT, 1):
                    report.row(
                        f"ep {ranks}, collectives {comm}, copies {copies}, "
                        f"{'steps' if chunk == 1 else 'a prompt'}",
                        lambda r=ranks, c=chunk, m=comm, a=copies:
                        on_sim.check(r, c, m, a))
    for name in NEAR:
        for policy, chunk in (("eager", PROMPT), ("lazy", 1)):
            report.row(f"{name} tp 2, {policy}, "
                       f"{'steps' if chunk == 1 else 'a prompt'}",
                       lambda n=name, c=chunk, p=policy:
                       on_sim.check_tp(n, c, p))


if __name__ == "__main__":
    script.main("sim-ranks", run, ("--ranks", {"default": "2,4"}))
