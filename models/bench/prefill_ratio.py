"""Prefill of the FP8 linear layers against torch's bf16 linear, in turn.

    prefill_ratio.py --bin build/bin --weights M [--threads 2] [--rounds 3]
                     [--repeat 3] m.hadal...

M is the checkpoint of make_v3_shaped.py (2 layers, 16 experts, 8 a token), the
artifacts are compiled from it with --prefill-buckets 512. A round runs each
artifact and then torch_linear.py, so that both meet the same machine; of
--repeat turns the best counts on either side. Prints, per round and artifact,
torch's time over hadal's (above 1: hadal is faster). Needs torch.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

# Launches of each of torch's shapes in one prefill of the model.
COUNTS = {"q_a_proj": 2, "q_b_proj": 2, "kv_a_proj_with_mqa": 2, "o_proj": 2,
          "dense gate_proj": 2, "dense down_proj": 1, "expert gate_proj": 32,
          "expert down_proj": 16, "shared gate_proj": 2, "shared down_proj": 1}


def run(command, report):
    subprocess.run(command + ["--json", report], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(report) as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("artifacts", nargs="+")
    parser.add_argument("--bin", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as work:
        report = os.path.join(work, "report.json")
        for turn in range(args.rounds):
            hadal = {}
            for artifact in args.artifacts:
                result = run(
                    [os.path.join(args.bin, "hadal-bench"), artifact, "--weights",
                     args.weights, "--prompt-len", "512", "--gen-len", "0",
                     "--batch", "1", "-t", str(args.threads), "--profile",
                     "--repeat", str(args.repeat)], report)
                kernels = result["runs"][0]["prefill"]["kernels"]
                hadal[artifact] = sum(k["seconds"] for k in kernels
                                      if re.match(r"gemm_.*wfp8", k["name"]))
            shapes = run(
                [sys.executable, os.path.join(here, "torch_linear.py"),
                 "--threads", str(args.threads), "--repeat", str(args.repeat)],
                report)["shapes"]
            torch = sum(s["seconds"] * COUNTS.get(s["name"], 0) for s in shapes)
            print(f"round {turn + 1}: torch {torch * 1e3:.0f} ms; " + "; ".join(
                f"{os.path.basename(a)} {t * 1e3:.0f} ms, ratio {torch / t:.3f}"
                for a, t in hadal.items()), flush=True)


if __name__ == "__main__":
    main()
