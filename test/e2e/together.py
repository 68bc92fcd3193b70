"""Requests of eight clients against each alone, on models/tiny, bit for bit.

    together.py --bin build/bin --together build/unittests/EngineTogether
                [--requests N] [--work DIR] [--keep] [--only TEXT]

The model is compiled with --deterministic, for f32, bf16 and W8A8 activations
(--quick: W8A8).
EngineTogether runs every request alone, then all of them by eight clients: in
one call, in chunks of 7 and of 64, with so few pages that rows are preempted,
with a cold and a warm prefix cache; ids and logprobs must be equal in every bit.
The same with one thread must give what two give. One line a row, then
`N passed, N failed`.
"""
import os
import pathlib
import subprocess

import script

TINY = pathlib.Path(__file__).resolve().parents[2] / "models" / "tiny"
TYPES = {"w8a8": ["--activations=bf16", "--fp8=w8a8"],
         "bf16": ["--activations=bf16", "--fp8=w8a16"],
         "f32": ["--activations=f32"]}


def call(*words):
    return subprocess.run([str(word) for word in words], capture_output=True,
                          text=True, errors="replace", timeout=900)


def together(arguments, work, name, options):
    artifact = os.path.join(work, f"{name}.hadal")
    compiled = call(os.path.join(arguments.bin, "hadal-compile"), TINY,
                    "--images=native", "--max-batch-size=8",
                    "--max-seq-len=512", "--deterministic", *options,
                    "-o", artifact)
    if compiled.returncode:
        return False, compiled.stderr[-500:]
    digests = set()
    for threads in (2, 1):
        result = call(arguments.together, artifact, "--weights", TINY, "-q",
                      "-t", threads, "--requests", arguments.requests)
        lines = result.stdout.splitlines()
        if result.returncode:
            return False, f"{threads} threads: " + "; ".join(
                [l for l in lines if l.startswith("FAIL")]
                + [result.stderr[-500:]])
        digests.add(next(l for l in lines if l.startswith("alone")))
    if len(digests) != 1:
        return False, f"one thread and two differ: {digests}"
    return True, f"{lines[-1]} with 1 and with 2 threads; {digests.pop()}"


def run(arguments, work, report):
    for name, options in TYPES.items():
        if arguments.quick and name != "w8a8":
            continue
        report.row(name, lambda: together(arguments, work, name, options))


if __name__ == "__main__":
    script.main("together", run, script.QUICK,
                ("--together", {"required": True}),
                ("--requests", {"type": int, "default": 8}))
