#!/usr/bin/env python3
"""Ranks with a GPU each, without GPUs: hadal-run --device cuda --ranks N.

An sm_90a artifact of models/tiny for two ranks runs as two processes on a libcuda
whose device is the simulator and a libnccl that meets through files; decode is
captured. All logits must be equal in every bit to those of the sim device, whose
ranks are threads over loopback. Also with room for 8 rows of an expert's rank, where
steps are run again; a rank that is killed is named; what cannot run is refused.

  ranks_cuda.py --bin DIR --libcuda FILE --libnccl FILE [--steps N]

One line a row, then `N passed, N failed`.
"""
import json
import os
import re
import subprocess
import time

import compare
import make_configs
import script

MODEL = compare.TINY


class Test:
    def __init__(self, arguments, directory, report):
        self.arguments, self.directory = arguments, directory
        self.report = report

    def file(self, name):
        return os.path.join(self.directory, name)

    def tool(self, name, *options, **environment):
        return subprocess.run(
            [os.path.join(self.arguments.bin, name), *map(str, options)],
            capture_output=True, text=True, errors="replace", timeout=3000,
            env={**os.environ, "TMPDIR": self.directory,
                 "HADAL_LIBCUDA": self.arguments.libcuda,
                 "HADAL_LIBNCCL": self.arguments.libnccl, **environment})

    def compile(self, name, rows, *options):
        done = self.tool("hadal-compile", MODEL, "-o", self.file(name),
                         "--target=sm_90a", f"--max-batch-size={rows}",
                         "--max-seq-len=256", f"--decode-buckets={rows}",
                         "--prefill-buckets=16", "--dp=2", *options)
        if done.returncode:
            raise script.ToolError(done.stderr)

    def run(self, artifact, *options, ranks=2, **environment):
        return self.tool("hadal-run", self.file(artifact), "--weights", MODEL,
                         *(["--ranks", ranks] if ranks else []), *options,
                         **environment)

    def logits(self, artifact, device, rows, chunk):
        output = self.file(device + ".npy")
        done = self.run(artifact, "--device", device, "--input-ids",
                        ";".join(",".join(map(str, row)) for row in rows),
                        "--logits=all", "--output", output, "--prefill-chunk",
                        chunk)
        if done.returncode:
            raise script.ToolError(f"{device}: {done.stderr}")
        with open(output, "rb") as file:
            return file.read(), done.stderr

    def equal(self, artifact, lengths, chunk, again):
        """Bits of cuda and sim; |again|: steps must have been run again."""
        rows = [make_configs.prompt_ids("v3", length, i)
                for i, length in enumerate(lengths)]
        begin = time.time()
        cuda, said = self.logits(artifact, "cuda", rows, chunk)
        middle = time.time()
        sim, other = self.logits(artifact, "sim", rows, chunk)
        replays = [re.search(r"(\d+) of (\d+) steps replayed", text)
                   for text in (said, other)]
        counts = [found[0] if found else "" for found in replays]
        return (cuda == sim and counts[0] == counts[1] and
                bool(counts[0]) == again,
                f"{'equal' if cuda == sim else 'DIFFERENT'} bits of "
                f"{len(cuda)} bytes; {counts[0] or 'none run again'}; cuda "
                f"{middle - begin:.0f} s, sim {time.time() - middle:.0f} s")

    def ends(self, done, status, *texts):
        missing = [text for text in texts if text not in done.stderr]
        return (done.returncode == status and not missing,
                f"status {done.returncode}, expected {status}; missing "
                f"{missing}" + (f" in {done.stderr}" if missing else ""))

    def refusals(self):
        row = self.report.row
        ids = ["--input-ids=0,5", "-n", 2]
        row("host memory", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", "--comm=loopback", *ids), 2,
            "H5011", "moves the memory of the host", "give --comm nccl"))
        row("memory of GPUs", lambda: self.ends(
            self.run("two.hadal", "--device=sim", "--comm=nccl", *ids), 2,
            "H5011", "moves the memory of GPUs", "device 'sim'"))
        row("a policy", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", "--comm-policy=lazy", *ids), 2,
            "H5011", "NCCL's run when the device comes to them"))
        row("no library", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", *ids,
                     HADAL_LIBNCCL="/nonexistent.so"), 5, "H6005",
            "cannot open '/nonexistent.so'"))
        row("collectives checked", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", "--check-collectives", *ids),
            5, "H6005", "--check-collectives looks at what the host moves"))
        row("another number", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", *ids, ranks=3), 2, "H6004"))

    def lost(self):
        """Killed in a captured step: the other says where it waited."""
        begin = time.time()
        done = self.run("two.hadal", "--device=cuda", "-p", "Once upon", "-n",
                        16, HADAL_FAULT="rank=1,at=dispatch:2,times=5,do=kill")
        good, text = self.ends(
            done, 137, "error H6001: rank 1 (host ", "is gone; rank 0 waited at "
            "collective", "'dispatch, layer 2'", "entry decode")
        return good, f"{text}; {time.time() - begin:.0f} s"

    def text(self):
        outputs = [self.run("two.hadal", "--device", device, "-q", "-n", 3, "-p",
                            "In the beginning") for device in ("cuda", "sim")]
        return (outputs[0].stdout == outputs[1].stdout and
                outputs[0].stdout.strip() != "" and
                not any(o.returncode for o in outputs),
                repr([o.stdout or o.stderr for o in outputs]))

    def timeline(self):
        """Collectives of both ranks are beside their kernels."""
        trace = self.file("trace.json")
        done = self.run("two.hadal", "--device=cuda", "--input-ids=0,5", "-n", 2,
                        "--profile", trace)
        if done.returncode:
            return False, done.stderr
        with open(trace, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        spans = [[sum(1 for event in events if event["ph"] == "X" and
                      (event["pid"], event["tid"]) == (rank, stream))
                  for stream in (0, 1)] for rank in (0, 1)]
        # A dispatch and a return of each of three layers of each step.
        return (all(kernels > collectives > 0 and not collectives % 6
                    for kernels, collectives in spans),
                f"kernels and waits, collectives by rank: {spans}")

    def all(self):
        steps = self.arguments.steps
        self.compile("two.hadal", 4)
        self.compile("tight.hadal", 12, "--capacity=8")
        row = self.report.row
        row("check-env", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", "-p", "x", "--check-env"), 0,
            "rank 1: host ", "nccl 2.28.9 (", "; cuda:0, ",
            "all_to_all of 1 MiB between each two of 2 ranks, in a graph"))
        row("check-env of one rank", lambda: self.ends(
            self.run("two.hadal", "--device=cuda", "--comm=nccl", "-p", "x",
                     "--check-env", ranks=0), 0, "between each two of 1 ranks"))
        row(f"decode, {steps} steps", lambda: self.equal(
            "two.hadal", [steps, steps - 1, steps], 1, False))
        row("prefill", lambda: self.equal("two.hadal", [9, 16, 3], 16, False))
        row("run again", lambda: self.equal(
            "tight.hadal", [4] * 23, 1, True))
        row("text", self.text)
        row("timeline", self.timeline)
        row("a lost rank", self.lost)
        self.refusals()


def run(arguments, work, report):
    Test(arguments, work, report).all()


if __name__ == "__main__":
    script.main("cuda-ranks", run, ("--libcuda", {"required": True}),
                ("--libnccl", {"required": True}),
                ("--steps", {"type": int, "default": 12}))
