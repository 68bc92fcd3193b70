"""Every kernel of sm_90a artifacts, alone, on the simulator.

    kernels_on_sim.py --bin build/bin MODEL [MODEL ...]

MODEL is a name of make_configs.py, `tiny`, or `v3-widths`: one dense and one MoE
layer of DeepSeek-V3's widths with 16 experts, in buckets of 1, 16 and 64 tokens.
Each kernel of each bucket runs on random inputs (no weights are needed) under
both policies of asynchronous operations; hadal-bench holds it against references
in double (bounds: KernelCase.cpp), and a finding of the simulator fails it.
Prints one line an artifact and policy. Needs python3 with numpy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import make_configs

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "../../models")
SMALL = ["--max-batch-size", 8, "--max-seq-len", 512, "--decode-buckets=1,8",
         "--prefill-buckets=128"]
WIDE = ["--max-batch-size", 16, "--max-seq-len", 512, "--decode-buckets=1,16",
        "--prefill-buckets=64"]


def call(*command, policy=None):
    environment = dict(os.environ)
    if policy:
        environment["HADAL_SIM"] = f"policy={policy}"
    done = subprocess.run([str(c) for c in command], env=environment,
                          capture_output=True, text=True, timeout=1500)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        raise RuntimeError(f"{command[0]}: status {done.returncode}: {lines[-1]}")


def model_of(name, work):
    """Returns (directory with config.json, options of the compiler)."""
    if name == "tiny":
        return os.path.join(MODELS, "tiny"), SMALL
    directory = os.path.join(work, name)
    if name == "v3-widths":
        call(sys.executable, os.path.join(MODELS, "bench/make_v3_shaped.py"),
             "--out", directory, "--config-only")
        return directory, WIDE
    os.makedirs(directory)
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(make_configs.CONFIGS[name][0], file)
    return directory, SMALL


def check(bin_dir, name, work):
    model, options = model_of(name, work)
    artifact, found = os.path.join(work, name + ".hadal"), os.path.join(work, "j")
    call(os.path.join(bin_dir, "hadal-compile"), model, "-o", artifact,
         "--target=sm_90a", "--kernel-cache", os.path.join(work, "kernels"),
         *options)
    for policy in ("eager", "lazy"):
        begin = time.monotonic()
        call(os.path.join(bin_dir, "hadal-bench"), artifact, "--device", "sim",
             "--kernels", "--check-only", "--json", found, policy=policy)
        with open(found) as file:
            rows = json.load(file)["kernels"]
        worst = max(rows, key=lambda row: row["one_minus_cosine"])
        print(f"{name} {policy}: {len(rows)} kernels right, worst 1-cos "
              f"{worst['one_minus_cosine']:.1e} ({worst['name']}), "
              f"{time.monotonic() - begin:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for name in options.models:
            try:
                check(options.bin, name, work)
            except RuntimeError as problem:
                print(f"FAILED {name}: {problem}", flush=True)
                failed += 1
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
