"""Experts over several ranks against one rank, bit for bit.

    ranks.py --bin build/bin [--work DIR] [--keep] [--quick] [--only TEXT]

A model is compiled for one rank and, with --schedule-as=ep=1, for 2, 4 and 8
ranks that share its experts; the ranks run as threads over loopback. Prompts
are prefilled in one call and token by token, so that the calls of both use the
same bucket; all logits must be equal in every bit to those of one rank with the
rows of each, and the loads of the experts in every count. Then the same with placements that hold some experts twice, routers
that send everything to few experts, ranks without a prompt, and room for 8 rows
where a step that exceeds it is run again. Last, what ranks must refuse to run
together. One line a row, then `N passed, N failed`. Needs python3 and numpy.
"""

import json
import os
import re
import subprocess

import compare
import make_configs
import numpy as np
import script

PROMPTS, LENGTH = 8, 16
TYPES = {"f32": ["--activations=f32"], "bf16": ["--activations=bf16"],
         "w8a8": ["--activations=bf16", "--fp8=w8a8"],
         "w8a16": ["--activations=bf16", "--fp8=w8a16"]}
# All experts of a token are nearly the same for every token.
SKEWED = {"v3-skewed": ("v3", (0.0, 0.5)), "v3-skewed-fp8": ("v3-fp8", (0.0, 0.5))}

# (model, types, ranks, options)
QUICK = [
    ("v3", "f32", 2, {}),
    ("v3", "f32", 4, {"redundant": 4, "placement": True, "capacity": 8}),
    ("v3-skewed-fp8", "w8a8", 4, {"capacity": 8}),
]
# Every mode of every model.
MODES = [(model, types)
         for model in ("v3", "v2-groups", "v3-shared2", "v3-skewed")
         for types in ("f32", "bf16")] + [
    (model, types)
    for model in ("tiny", "v3-fp8", "v3.1-fp8", "kimi-fp8", "v3-skewed-fp8")
    for types in TYPES]
LONG = [(model, types, ranks, options)
        for model, types in MODES for ranks in (2, 4, 8)
        for options in ({}, dict(redundant=ranks, placement=True, capacity=8))]


class Ranks:
    def __init__(self, bin_dir, work, report):
        self.bin, self.work, self.report = bin_dir, work, report
        self.models, self.artifacts, self.expected = {}, {}, {}

    def start(self, tool, *args):
        return subprocess.run(
            [os.path.join(self.bin, tool), *map(str, args)],
            capture_output=True, text=True, errors="replace", timeout=600)

    def call(self, tool, *args):
        done = self.start(tool, *args)
        if done.returncode:
            raise script.ToolError(
                f"{tool} {' '.join(map(str, args))}: status {done.returncode}: "
                f"{done.stderr.strip()[-400:]}")
        return done.stderr

    def model(self, name):
        if name == "tiny":
            return compare.TINY
        if name not in self.models:
            if name in SKEWED:
                base, bias = SKEWED[name]
                config, shapes = make_configs.CONFIGS[base]
                make_configs.CONFIGS[name] = (config, dict(shapes, bias=bias))
            self.models[name] = make_configs.write(name, self.work)
        return self.models[name]

    def config(self, name):
        with open(os.path.join(self.model(name), "config.json")) as file:
            return json.load(file)

    def artifact(self, name, types, ranks, redundant=0, capacity="auto"):
        key = (name, types, ranks, redundant, capacity)
        if key not in self.artifacts:
            path = os.path.join(self.work, "-".join(map(str, key)) + ".hadal")
            self.call("hadal-compile", self.model(name), "-o", path,
                      "--target=cpu", "--images=native",
                      f"--max-batch-size={PROMPTS}", "--max-seq-len=256",
                      f"--decode-buckets={PROMPTS}",
                      f"--prefill-buckets={PROMPTS * LENGTH}", *TYPES[types],
                      *([] if ranks == 1 else
                        [f"--dp={ranks}", "--schedule-as=ep=1",
                         f"--redundant-experts={redundant}",
                         f"--capacity={capacity}"]))
            self.artifacts[key] = path
        return self.artifacts[key]

    def run(self, artifact, name, rows, ranks, chunk, *extra):
        """Returns the logits of all positions, the loads, and what it says."""
        output = os.path.join(self.work, "logits.npy")
        loads = os.path.join(self.work, "loads.json")
        said = self.call(
            "hadal-run", artifact, "--weights", self.model(name), "--input-ids",
            ";".join(",".join(map(str, row)) for row in rows), "--logits=all",
            "--output", output, "--expert-load", loads, "--prefill-chunk", chunk,
            *(["--ranks", ranks] if ranks > 1 else []), *extra)
        with open(loads) as file:
            return np.load(output).view(np.uint32), json.load(file), said

    def one(self, name, types, rows, ranks, chunk):
        """What one rank gives for the rows of each, in the order of all."""
        key = (name, types, len(rows), ranks, chunk)
        if key not in self.expected:
            logits, layers = [None] * len(rows), {}
            for r in range(min(ranks, len(rows))):
                mine = rows[r::ranks]
                values, loads, _ = self.run(self.artifact(name, types, 1), name,
                                            mine, 1, chunk)
                ends = np.cumsum([len(row) for row in mine])[:-1]
                logits[r::ranks] = np.split(values, ends)
                for layer, counts in loads["layers"].items():
                    layers[layer] = np.add(layers.get(layer, 0), counts)
            self.expected[key] = np.concatenate(logits), {
                layer: counts.tolist() for layer, counts in layers.items()}
        return self.expected[key]

    def placement(self, name, ranks, redundant):
        """Some permutation of the experts, the redundant ones spread."""
        config = self.config(name)
        experts = config["n_routed_experts"]
        slots = (experts + redundant) // ranks
        layers = {}
        for layer in range(config["first_k_dense_replace"],
                           config["num_hidden_layers"]):
            rng = np.random.default_rng(layer)
            order = rng.permutation(experts).tolist()
            # A cycle through all experts, the redundant ones one rank further:
            # no rank has one twice.
            table = [[order[(r + s * ranks + s * ranks // experts) % experts]
                      for s in range(slots)] for r in range(ranks)]
            assert all(len(set(mine)) == slots for mine in table)
            layers[str(layer)] = table
        path = os.path.join(self.work, "placement.json")
        with open(path, "w") as file:
            json.dump({"hadal_placement": 1, "experts": experts, "ranks": ranks,
                       "slots": slots, "load_digest": "", "layers": layers,
                       "balancedness": {}}, file)
        return path

    def check(self, name, types, ranks, options, prompts, chunk, policy):
        """Equal bits and counts; how many steps were run again."""
        redundant = options.get("redundant", 0)
        artifact = self.artifact(name, types, ranks, redundant,
                                 options.get("capacity", "auto"))
        # Lengths differ, and some are one token.
        rows = [make_configs.prompt_ids(self.random(name), LENGTH - 3 * (i % 3), i)
                for i in range(prompts)]
        rows[-1] = rows[-1][:1] if prompts > 2 and chunk == 1 else rows[-1]
        extra = [f"--comm-policy={policy}"]
        if options.get("placement"):
            extra += ["--placement", self.placement(name, ranks, redundant)]
        logits, loads, said = self.run(artifact, name, rows, ranks, chunk,
                                       *extra)
        expected, counted = self.one(name, types, rows, ranks, chunk)
        differing = (int(np.count_nonzero(logits != expected))
                     if logits.shape == expected.shape else -1)
        same = loads["layers"] == counted
        again = re.search(r"(\d+) of (\d+) steps replayed; --capacity (\d+) ",
                          said)
        replays = int(again[1]) / int(again[2]) if again else 0.0
        if again and policy == "async":
            # What is said to have avoided them does.
            artifact = self.artifact(name, types, ranks, redundant, int(again[3]))
            _, _, said = self.run(artifact, name, rows, ranks, chunk, *extra)
            if "replayed" in said:
                return False, f"--capacity {again[3]} replays too", replays
        return (differing == 0 and same,
                f"{differing} of {expected.size} logits differ in their bits, loads "
                f"{'equal' if same else 'differ'}, {replays:.0%} run again",
                replays)

    @staticmethod
    def random(name):
        """The name whose prompts a model takes: any of equal vocabulary."""
        return SKEWED[name][0] if name in SKEWED else (
            "v3" if name == "tiny" else name)

    def case(self, name, types, ranks, options):
        label = f"{name} {types} ep {ranks}" + "".join(
            f" {key}={value}" for key, value in options.items())
        replays = []

        def row(prompts, chunk, policy):
            ok, text, replay = self.check(name, types, ranks, options, prompts,
                                          chunk, policy)
            replays.append(replay)
            return ok, text
        for prompts, chunk, policy in [
                (PROMPTS, PROMPTS * LENGTH, "async"), (PROMPTS, 1, "eager"),
                (PROMPTS - 1, PROMPTS * LENGTH, "lazy"), (1, 1, "random,3")]:
            how = "decode" if chunk == 1 else "prefill"
            self.report.row(f"{label} {how} of {prompts} {policy}",
                            lambda p=prompts, c=chunk, o=policy: row(p, c, o))
        if options.get("capacity") == 8:
            self.report.row(
                f"{label} replays",
                lambda: (max(replays) >= 0.2, f"{max(replays):.0%} of steps"))

    # ------------------------------------------------------------ refusals

    def refusals(self):
        two = self.artifact("v3", "f32", 2)
        weights = self.model("v3")
        ids = ["--input-ids=0,5", "-n", 2]

        def refused(status, text, *args):
            done = self.start("hadal-run", *args)
            return (done.returncode == status and text in done.stderr,
                    f"status {done.returncode}: {done.stderr.strip()[:160]}")
        one = self.artifact("v3", "f32", 1)
        bad = os.path.join(self.work, "bad.json")
        with open(self.placement("v3", 2, 0)) as file:
            placement = json.load(file)
        placement["layers"]["1"][0][0] = placement["layers"]["1"][1][0]
        with open(bad, "w") as file:
            json.dump(placement, file)
        for label, status, text, args in [
                ("one rank of two", 2, "H6004", [two]),
                ("four ranks of two", 2, "H6004", [two, "--ranks=4"]),
                ("two ranks of one", 2, "H6004", [one, "--ranks=2"]),
                ("placement without an expert", 3, "H6008",
                 [two, "--ranks=2", "--placement", bad]),
                ("a policy", 2, "H5011",
                 [two, "--ranks=2", "--comm-policy=now"]),
                ("a delay", 2, "H5011", [two, "--ranks=2", "--comm-delay=x"]),
                ("placement of one rank", 2, "H5011",
                 [one, "--placement", bad])]:
            self.report.row(f"refusal: {label}", lambda s=status, t=text, a=args:
                            refused(s, t, *a, "--weights", weights, *ids))


def run(args, work, report):
    ranks = Ranks(args.bin, work, report)
    for case in QUICK if args.quick else QUICK + LONG:
        ranks.case(*case)
    ranks.refusals()


if __name__ == "__main__":
    script.main("ranks", run, script.QUICK)
