"""Two micro-batches against one of the same bucket, bit for bit.

    overlap.py --bin build/bin [--work DIR] [--keep] [--quick] [--only TEXT]

A model is compiled with --overlap=on for ranks that share its experts and 8
sequences each, so that a step of 8 rows runs as two micro-batches of 4. All
logits must be equal in every bit, and the loads in every count, to those of an
artifact with buckets of 4 rows in which the two halves run one after the other; under all
policies of loopback's, with steps that are run again, with ranks that idle or
cannot halve what they have. Then an interleaving that was edited, and sm_90a's
kernels on the simulator. One line a row, then `N passed, N failed`. Needs
python3 and numpy.
"""

import os
import re

import make_configs
import numpy as np
import script
from ranks import Ranks, TYPES

ROWS, LENGTH = 8, 16
# Each micro-batch of a prefill has half of it.
PREFILL = 256

# (model, types, ranks, capacity)
QUICK = [("v3", "f32", 2, "auto"), ("v3-skewed-fp8", "w8a8", 4, 2)]
LONG = [("tiny", "bf16", 2, "auto"), ("v3", "bf16", 4, "auto"),
        ("v3-skewed", "f32", 2, 1), ("v3-fp8", "w8a16", 4, 2),
        ("v3-shared2", "f32", 2, "auto"), ("kimi-fp8", "w8a8", 4, "auto")]


class Overlap(Ranks):
    def compile(self, name, types, ranks, capacity, rows, overlap, *extra):
        key = (name, types, ranks, capacity, rows, overlap, *extra)
        if key not in self.artifacts:
            path = os.path.join(
                self.work, f"overlap-{len(self.artifacts)}.hadal")
            said = self.call(
                "hadal-compile", self.model(name), "-o", path, "--target=cpu",
                "--images=native", f"--max-batch-size={rows}",
                "--max-seq-len=256", f"--decode-buckets={rows}",
                f"--prefill-buckets={PREFILL * rows // ROWS}", *TYPES[types],
                f"--dp={ranks}", "--schedule-as=ep=1",
                # Chosen for the whole bucket, it may not be the half's choice.
                "--attention=" + ("expanded" if ranks == 2 else "absorbed"),
                f"--capacity={capacity}", f"--overlap={overlap}", *extra)
            self.artifacts[key] = (path, said)
        return self.artifacts[key]

    def prompts(self, name, count, shorten):
        vocabulary = self.random(name)
        return [make_configs.prompt_ids(vocabulary, LENGTH - shorten(i), i)
                for i in range(count)]

    def halves(self, name, types, ranks, rows, chunk):
        """What the first and the last rows of each rank give by themselves."""
        path, _ = self.compile(name, types, ranks, "auto", ROWS // 2, "off")
        middle = len(rows) // 2
        parts = [self.run(path, name, part, ranks, chunk)
                 for part in (rows[:middle], rows[middle:])]
        layers = {layer: np.add(counts, parts[1][1]["layers"][layer]).tolist()
                  for layer, counts in parts[0][1]["layers"].items()}
        return np.concatenate([part[0] for part in parts]), layers

    def equal(self, logits, loads, expected, counted):
        differing = (int(np.count_nonzero(logits != expected))
                     if logits.shape == expected.shape else -1)
        same = loads["layers"] == counted
        return differing == 0 and same, (
            f"{differing} of {expected.size} logits differ in their bits, loads "
            f"{'equal' if same else 'differ'}")

    @staticmethod
    def counts(said):
        def of(pattern):
            found = re.search(r"(\d+) of (\d+) steps " + pattern, said)
            return (int(found[1]), int(found[2])) if found else (0, 0)
        return of("ran as two micro-batches"), of("replayed")

    def whole(self, name, types, ranks, capacity, chunk, policy, artifact=None):
        # Of each rank the first half and the last end alike, so that the steps
        # of both are those that each has alone.
        rows = self.prompts(name, ROWS * ranks,
                            lambda i: (0, 3, 6, 0)[i // ranks % 4])
        path = artifact or self.compile(name, types, ranks, capacity, ROWS,
                                        "on")[0]
        logits, loads, said = self.run(path, name, rows, ranks, chunk,
                                       f"--comm-policy={policy}")
        key = (name, types, ranks, chunk)
        if key not in self.expected:
            self.expected[key] = self.halves(*key[:3], rows, chunk)
        ok, text = self.equal(logits, loads, *self.expected[key])
        (halved, all_), (again, _) = self.counts(said)
        self.again += again
        return ok and halved == all_ > 0, (
            f"{text}, {halved} of {all_} steps halved, {again} run again")

    def case(self, name, types, ranks, capacity):
        label = f"{name} {types} ep {ranks} capacity {capacity}"
        self.again = 0
        for chunk, policy in [(LENGTH, "eager"), (LENGTH, "lazy"), (1, "eager"),
                              (1, "random,3"), (1, "lazy")]:
            how = "decode" if chunk == 1 else "prefill"
            self.report.row(f"{label} {how} {policy}",
                            lambda c=chunk, p=policy: self.whole(
                                name, types, ranks, capacity, c, p))
        if capacity != "auto":
            self.report.row(f"{label} replays", lambda: (
                self.again > 0, f"{self.again} steps were run again"))

    def others(self):
        """Where not every rank has rows for both."""
        def plain(count, shorten, chunk, halved, *extra):
            name, types, ranks = "v3", "f32", 2
            rows = self.prompts(name, count, shorten)
            on, _ = self.compile(name, types, ranks, "auto", ROWS, "on")
            off, _ = self.compile(name, types, ranks, "auto", ROWS, "off")
            logits, loads, said = self.run(on, name, rows, ranks, chunk, *extra)
            expected, counted, _ = self.run(off, name, rows, ranks, chunk)
            (some, all_), _ = self.counts(said)
            found = some if all_ else 0
            if halved == "none":
                ok, text = self.equal(logits, loads, expected,
                                      counted["layers"])
                return ok and found == 0, f"{text}, {found} steps halved"
            # Other kernels than the whole bucket's: close, not equal.
            worst = np.abs(logits.view(np.float32)
                           - expected.view(np.float32)).max()
            return 0 < found and worst < 1e-3, (
                f"{found} of {all_} steps halved, logits differ by {worst:.1e}")
        self.report.row("a rank with one row halves nothing", lambda: plain(
            3, lambda i: 0, 1, "none"))
        self.report.row("a rank that is done lets others halve", lambda: plain(
            ROWS * 2, lambda i: 8 * (i % 2), 1, "some"))
        self.report.row("--overlap off", lambda: plain(
            ROWS * 2, lambda i: 0, 1, "none", "--overlap=off"))
        self.report.row("a step that no bucket holds", lambda: plain(
            ROWS * 2, lambda i: -24, 256, "some"))

    def on_sim(self, policy):
        """models/tiny for sm_90a: three steps of 4 rows a rank."""
        name, ranks, each = "tiny", 2, 4
        rows = self.prompts(name, each * ranks, lambda i: LENGTH - 3)

        def artifact(rows, overlap):
            path = os.path.join(self.work, f"sim-{rows}.hadal")
            if not os.path.exists(path):
                self.call("hadal-compile", self.model(name), "-o", path,
                          "--target=sm_90a", "--ptxas=none",
                          "--max-seq-len=64", f"--max-batch-size={rows}",
                          f"--decode-buckets={rows}", "--prefill-buckets=8",
                          f"--dp={ranks}", "--schedule-as=ep=1",
                          f"--overlap={overlap}")
            return path
        sim = ["--device=sim", f"--comm-policy={policy}"]
        logits, loads, said = self.run(artifact(each, "on"), name, rows, ranks,
                                       1, *sim)
        parts = [self.run(artifact(each // 2, "off"), name, part, ranks, 1, *sim)
                 for part in (rows[:each], rows[each:])]
        counted = {layer: np.add(counts, parts[1][1]["layers"][layer]).tolist()
                   for layer, counts in parts[0][1]["layers"].items()}
        ok, text = self.equal(logits, loads,
                              np.concatenate([part[0] for part in parts]),
                              counted)
        (halved, all_), _ = self.counts(said)
        return ok and halved == all_ > 0, f"{text}, {halved} of {all_} halved"

    def edited(self):
        """An order that a reader wrote is the one that runs."""
        name, types, ranks = "v3", "f32", 2
        lower = os.path.join(self.work, "lower.mlir")
        path = os.path.join(self.work, "edited.hadal")
        self.call("hadal-compile", self.model(name), "-o", lower,
                  "--compile-to=lower", "--target=cpu", "--images=native",
                  f"--max-batch-size={ROWS}", "--max-seq-len=256",
                  f"--decode-buckets={ROWS}", f"--prefill-buckets={PREFILL}",
                  *TYPES[types], f"--dp={ranks}", "--schedule-as=ep=1",
                  "--attention=expanded", "--overlap=on")
        with open(lower) as file:
            text = file.read()
        stages = ["project", "attend", "shared", "after_dispatch",
                  "after_return"]
        # The second begins with its experts, the first with the attention.
        words = []
        for i in range(5):
            words += [f'"{stages[(3 + i) % 5]}.1"', f'"{stages[(1 + i) % 5]}.0"']
        text, count = re.subn(r"interleaving \[[^]]*\]",
                              f"interleaving [{', '.join(words)}]", text)
        with open(lower, "w") as file:
            file.write(text)
        self.call("hadal-compile", lower, "--compile-from=lower", "-o", path)
        ok, said = self.whole(name, types, ranks, "auto", 1, "lazy", path)
        return ok and count > 0, said


def run(args, work, report):
    overlap = Overlap(args.bin, work, report)
    for case in QUICK if args.quick else QUICK + LONG:
        overlap.case(*case)
    overlap.others()
    report.row("an edited order", overlap.edited)
    for policy in ("eager", "lazy"):
        report.row(f"on the simulator, {policy}",
                   lambda p=policy: overlap.on_sim(p))


if __name__ == "__main__":
    script.main("overlap", run, script.QUICK)
