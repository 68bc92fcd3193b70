"""The promise of --deterministic: what a request computes is its own affair.

    deterministic.py --bin build/bin [--work DIR] [--keep] [--only TEXT] [--quick]

Requests run alone, one process each, are the reference; their logits and tokens
must be the same bytes in batches of mixed lengths, in another order, with
prompts cut into chunks of 7, 64 and 512, and with one thread and two. Prompts
have the lengths at which a bucket is just full or just not. Logits come from
the prompt entries (as of a prompt) and from the decode entries (as of generated
tokens, rows of a batch ending one by one, so that every bucket is met); texts,
greedy and seeded, from both. The twin without the option must differ in each of
the places where its buckets do: else these rows could not fail.

--quick: models/tiny and a small random model with experts, on the best image
variant. Otherwise all number formats on each variant that this machine runs.
"""
import os
import subprocess

import make_configs
import numpy as np
import script

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VARIANTS = ["v3", "v4", "v4+bf16+vbmi"]
LENGTHS = [1, 16, 17, 64, 65, 513]
#: Of rows that are decoded: as many as the largest bucket but one holds, and more.
DECODED = [3, 30, 9, 22, 15, 28, 6, 12, 26, 18, 24, 5, 20, 8, 14, 29, 11, 25, 4, 16]
BUCKETS = ["--decode-buckets=1,4,16,64", "--prefill-buckets=64,512",
           "--max-batch-size=24", "--max-seq-len=640"]
#: label, model, options of hadal-compile
QUICK = [("tiny w8a8", "tiny", []), ("v3-fp8 w8a16", "v3-fp8", ["--fp8=w8a16"])]
LONG = [("tiny w8a8", "tiny", []),
        ("tiny w8a16", "tiny", ["--fp8=w8a16"]),
        ("tiny f32", "tiny", ["--activations=f32"]),
        ("v3 bf16", "v3", []),
        ("v3-fp8 w8a8", "v3-fp8", []),
        ("v3-fp8 w8a16", "v3-fp8", ["--fp8=w8a16"]),
        ("v2-lite bf16", "v2-lite", []),
        ("tiny expanded", "tiny", ["--attention=expanded"])]


class Artifact:
    """One compiled model on one image variant."""

    def __init__(self, arguments, work, model, variant, options):
        self.bin, self.work = arguments.bin, work
        self.environment = dict(os.environ)
        if variant:
            self.environment["HADAL_CPU_VARIANT"] = variant
        if model == "tiny":
            self.model = os.path.join(ROOT, "models", "tiny")
        else:
            self.model = os.path.join(work, model)
            if not os.path.exists(self.model):
                make_configs.write(model, work)
        self.path = os.path.join(work, "model.hadal")
        self.tool("hadal-compile", self.model, "-o", self.path,
                  "--images=native", *BUCKETS, *options)

    def tool(self, name, *options):
        done = subprocess.run(
            [os.path.join(self.bin, name), *options], env=self.environment,
            capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise script.ToolError(f"{name}: {done.stderr.strip()}")
        return done.stdout

    def run(self, rows, *options):
        text = ";".join(",".join(map(str, row)) for row in rows)
        return self.tool("hadal-run", self.path, "--weights", self.model, "-q",
                         "--input-ids", text, *options)

    def logits(self, rows, *options):
        """The bytes of the logits of each of |rows|."""
        path = os.path.join(self.work, "logits.npy")
        self.run(rows, "--logits=all", "--output", path, *options)
        values, result, at = np.load(path), [], 0
        for row in rows:
            result.append(values[at:at + len(row)].tobytes())
            at += len(row)
        assert at == len(values)
        return result

    def tokens(self, rows, *options):
        lines = self.run(rows, "-n", "24", "--ignore-eos", *options).splitlines()
        assert len(lines) == len(rows), lines
        return lines


def requests(model, lengths):
    """Token ids of a request for each of |lengths|."""
    if model != "tiny":
        return [make_configs.prompt_ids(model, n, i)[:n]
                for i, n in enumerate(lengths)]
    random = np.random.default_rng(7)
    return [[0] + random.integers(3, 1000, n - 1).tolist() for n in lengths]


def compare(ways, reference):
    """(number that differ, text): of results by way, each a list as |reference|."""
    differ = [f"{way} (request {i})" for way, results in ways
              for i, (one, other) in enumerate(zip(results, reference, strict=True))
              if one != other]
    count = sum(len(results) for _, results in ways)
    return len(differ), f"{len(differ)} of {count} differ" + (
        ": " + ", ".join(differ[:4]) if differ else "")


def back_and_forth(run, rows, *options):
    """What |run| gives for |rows| in the opposite order, in theirs."""
    return run(rows[::-1], *options)[::-1]


def prompt_ways(artifact, rows):
    alone = [artifact.logits([row])[0] for row in rows]
    ways = [("batch", artifact.logits(rows)),
            ("reversed batch", back_and_forth(artifact.logits, rows)),
            ("one thread", artifact.logits(rows, "-t", "1"))]
    for chunk in (7, 64, 512):
        ways.append((f"chunks of {chunk}",
                     artifact.logits(rows, f"--prefill-chunk={chunk}")))
    ways.append(("alone, chunks of 7",
                 [artifact.logits([row], "--prefill-chunk=7", "-t", "1")[0]
                  for row in rows[:-1]] + alone[-1:]))
    return ways, alone


def decode_ways(artifact, rows):
    decode = "--prefill-chunk=1"
    alone = [artifact.logits([row], decode)[0] for row in rows]
    return [("batch", artifact.logits(rows, decode)),
            ("reversed batch", back_and_forth(artifact.logits, rows, decode)),
            ("batch of 3", [one for at in range(0, len(rows), 3)
                            for one in artifact.logits(rows[at:at + 3], decode)]),
            ("one thread", artifact.logits(rows, decode, "-t", "1"))], alone


def text_ways(artifact, rows, sampling):
    alone = [artifact.tokens([row], *sampling)[0] for row in rows]
    return [("batch", artifact.tokens(rows, *sampling)),
            ("reversed batch",
             back_and_forth(artifact.tokens, rows, *sampling)),
            ("chunks of 7, one thread",
             artifact.tokens(rows, "--prefill-chunk=7", "-t", "1", *sampling)),
            ("chunks of 64",
             artifact.tokens(rows, "--prefill-chunk=64", *sampling))], alone


def check(arguments, work, report, label, model, options, variant):
    prompts = requests(model, LENGTHS)
    decoded = requests(model, DECODED)
    mixed = requests(model, [5, 1, 65, 17, 40, 16, 2, 64, 9, 33])
    if arguments.quick:
        decoded, mixed = decoded[:18], mixed[:6]
    name = f"{label} {variant or 'native'}"
    built = {}

    def artifact(*more):
        if more not in built:
            built.clear()
            built[more] = Artifact(arguments, work, model, variant,
                                   [*options, *more])
        return built[more]

    def equal(ways):
        count, text = compare(*ways)
        return count == 0, text

    def different(ways):
        count, text = compare(*ways)
        return count > 0, "without the option " + text

    report.row(f"{name} prompts",
               lambda: equal(prompt_ways(artifact(), prompts)))
    report.row(f"{name} decode",
               lambda: equal(decode_ways(artifact(), decoded)))
    for sampling, how in ((["--temp=0"], "greedy"),
                          (["--temp=1.2", "--seed=11"], "seeded")):
        report.row(f"{name} {how}",
                   lambda s=sampling: equal(text_ways(artifact(), mixed, s)))
    twin = "--no-deterministic"
    if arguments.quick and model != "tiny":
        return
    report.row(f"{name} twin prompts",
               lambda: different(prompt_ways(artifact(twin), prompts[3:])))
    report.row(f"{name} twin decode",
               lambda: different(decode_ways(artifact(twin), decoded[:6])))


def run(arguments, work, report):
    if arguments.quick:
        for label, model, options in QUICK:
            check(arguments, work, report, label, model, options, None)
        return
    with open("/proc/cpuinfo") as file:
        flags = next(l for l in file if l.startswith("flags")).split()
    needs = {"v3": "avx2", "v4": "avx512bw", "v4+bf16+vbmi": "avx512_bf16"}
    for variant in VARIANTS:
        if needs[variant] not in flags:
            print(f"skipped {variant}: this machine does not run it")
            continue
        for label, model, options in LONG:
            check(arguments, work, report, label, model, options, variant)


if __name__ == "__main__":
    script.main("deterministic", run, script.QUICK)
