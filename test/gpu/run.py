"""Checks and times hadal on a GPU; see README.md.

    run.py [--only STEP,...] [--skip STEP,...] [--json FILE]
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(HERE, "bin/hadal-bench")
RUN = os.path.join(HERE, "bin/hadal-run")
TINY = os.path.join(HERE, "models/tiny")
PROMPTS = ["In the beginning", "And the king said", "Blessed are they"]
SANITIZERS = ["memcheck", "racecheck", "initcheck", "synccheck"]


class Failed(Exception):
    """A step found something wrong."""


def path(name):
    return os.path.join(HERE, name)


def call(*command, timeout=300, **keywords):
    """Runs a command; its output, or Failed with the end of it."""
    result = subprocess.run(command, capture_output=True, text=True,
                            timeout=timeout, **keywords)
    if result.returncode:
        raise Failed(f"{' '.join(command)}: exit status {result.returncode}: "
                     f"{(result.stderr or result.stdout)[-600:]}")
    return result.stdout


def kernels(artifact, out, *flags, pattern="", timeout=300):
    """hadal-bench --kernels on the GPU: its JSON."""
    call(BENCH, path(artifact), "--device", "cuda", f"--kernels={pattern}",
         "--json", path(out), *flags, timeout=timeout)
    with open(path(out)) as file:
        return json.load(file)


def check(report):
    """Every kernel of every artifact against references in double."""
    for artifact in ("tiny-sm_90a.hadal", "slice.hadal", "v3.hadal"):
        result = kernels(artifact, "check.json", "--check-only")
        worst = max(result["kernels"], key=lambda k: k["relative_error"])
        print(f"{artifact}: {len(result['kernels'])} kernels right; worst "
              f"error {worst['relative_error']:.1e} ({worst['name']})")
        report[artifact] = result["kernels"]


def sanitize(report):
    """The tiny model's kernels under compute-sanitizer, beside sim's findings."""
    tool = shutil.which("compute-sanitizer") or \
        "/usr/local/cuda/bin/compute-sanitizer"
    if not os.path.exists(tool):
        raise Failed("compute-sanitizer was not found; install the CUDA toolkit")
    with open(path("sim.json")) as file:
        simulated = json.load(file)
    wrong = [k["name"] for k in simulated["kernels"] if not k["right"]]
    print(f"sim: {len(simulated['kernels'])} kernels, wrong: {wrong or 'none'}; "
          "a finding would have failed it")
    for sanitizer in SANITIZERS:
        output = call(tool, "--tool", sanitizer, "--error-exitcode", "9", BENCH,
                      path("tiny-sm_90a.hadal"), "--device", "cuda", "--kernels",
                      "--check-only", timeout=240)
        summary = re.search(r"ERROR SUMMARY: (.*)|RACECHECK SUMMARY: (.*)", output)
        report[sanitizer] = summary.group(0) if summary else "no summary"
        print(f"{sanitizer}: {report[sanitizer]}")


def tiny(report):
    """The tiny model on cuda against cpu: logits and text."""
    import numpy as np
    ids = ",".join(str(3 + 37 * i % 400) for i in range(96))
    logits = {}
    for device, artifact in (("cpu", "tiny-cpu.hadal"),
                             ("cuda", "tiny-sm_90a.hadal")):
        call(RUN, path(artifact), "--weights", TINY, "--device", device,
             "--input-ids", ids, "--logits", "all", "--output",
             path(f"{device}.npy"))
        logits[device] = np.load(path(f"{device}.npy")).astype(np.float64)
    a, b = logits["cpu"], logits["cuda"]
    cosine = 1 - (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    report["median_one_minus_cosine"] = float(np.median(cosine))
    report["worst_one_minus_cosine"] = float(cosine.max())
    print(f"logits cuda against cpu: 1-cos median {np.median(cosine):.1e}, "
          f"worst {cosine.max():.1e}")
    if not np.median(cosine) < 1e-3:
        raise Failed("the median of 1-cos is not below 1e-3")
    for prompt in PROMPTS:
        texts = [call(RUN, path(artifact), "--weights", TINY, "--device", device,
                      "-p", prompt, "-n", "48", "--temp", "0")
                 for device, artifact in (("cpu", "tiny-cpu.hadal"),
                                          ("cuda", "tiny-sm_90a.hadal"))]
        if texts[0] != texts[1]:
            raise Failed(f"{prompt!r}: cpu wrote {texts[0]!r}, cuda {texts[1]!r}")
    print(f"greedy text of {len(PROMPTS)} prompts: equal")


def slice_(report):
    """A 4-layer slice of V3 decoding from captured graphs."""
    weights = path("models/slice")
    if not os.path.exists(os.path.join(weights, "model.safetensors")):
        call(sys.executable, path("models/bench/make_v3_shaped.py"), "--out",
             weights, "--dense-layers", "3", "--moe-layers", "1", "--experts",
             "256", "--vocab", "129280", timeout=300)
    output = call(BENCH, path("slice.hadal"), "--weights", weights, "--device",
                  "cuda", "--prompt-len", "512", "--gen-len", "64", "--batch",
                  "1,16,64", "--json", path("slice.json"))
    print(output)
    with open(path("slice.json")) as file:
        report.update(json.load(file))


def times(report):
    """Every kernel of V3, in turns with the peers."""
    import peers
    report["copy_bytes_per_second"] = peers.copy_rate()
    report["bf16_flops_per_second"] = peers.bf16_rate()
    print(f"copy {report['copy_bytes_per_second'] / 1e9:.0f} GB/s, bf16 "
          f"{report['bf16_flops_per_second'] / 1e12:.0f} TFLOP/s")
    print("| kernel | bucket | us | of copy | of bf16 | torch scaled_mm us | "
          "triton us |\n| --- | --- | --- | --- | --- | --- | --- |")
    rows, seen = kernels("v3.hadal", "times.json")["kernels"], {}
    report["kernels"] = []
    for row in rows:
        name, seconds = row["name"], row["seconds"]
        copy = row["bytes"] / report["copy_bytes_per_second"] / seconds
        math = row["flops"] / report["bf16_flops_per_second"] / seconds
        peer = {}
        shape = re.match(r"gemm_.*_xfp8_n(\d+)_k(\d+)_r(\d+)", name)
        if shape and "_e" not in name:
            n, k, m = map(int, shape.groups())
            n *= 2 if "swiglu" in name else 1
            if (m, n, k) not in seen:
                seen[m, n, k] = peers.gemm_peers(m, n, k)
                # Ours again after the peers: the machine may have changed.
                again = kernels("v3.hadal", "again.json", pattern=f"^{name}$")
                seconds = min(seconds, again["kernels"][0]["seconds"])
            peer = seen[m, n, k]
        shown = [f"{v * 1e6:.1f}" if isinstance(v, float) else "-"
                 for v in (peer.get("torch scaled_mm"), peer.get("triton"))]
        print(f"| {name} | {row['entry']} | {seconds * 1e6:.1f} | {copy:.2f} | "
              f"{math:.2f} | {' | '.join(shown)} |", flush=True)
        report["kernels"].append(dict(row, seconds=seconds, of_copy=copy,
                                      of_bf16=math, peers=peer))
    for reason in {v for p in seen.values() for v in p.values()
                   if isinstance(v, str)}:
        print(f"not timed: {reason}")
    cudnn = peers.sdpa_prefill(4096, 128, 192, 128)
    report["cudnn_sdpa_4096"] = cudnn
    print("cuDNN attention, 4096 tokens, 128 heads, 192/128:",
          f"{cudnn * 1e6:.0f} us" if isinstance(cudnn, float) else cudnn)


STEPS = {"check": check, "sanitize": sanitize, "tiny": tiny, "slice": slice_,
         "times": times}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--skip", default="")
    parser.add_argument("--json", default=path("gpu.json"))
    args = parser.parse_args()
    steps = [s for s in args.only.split(",") if s not in args.skip.split(",")]
    for step in steps:
        if step not in STEPS:
            parser.error(f"no step '{step}'; there are {', '.join(STEPS)}")
    report = {"date": datetime.date.today().isoformat()}
    try:
        report["gpu"] = call("nvidia-smi", "--query-gpu=name,driver_version",
                             "--format=csv,noheader").strip()
    except (Failed, OSError) as error:
        raise SystemExit(f"run.py: no GPU to run on: {error}")
    print(report["gpu"], report["date"])
    failed = []
    for step in steps:
        print(f"== {step}: {STEPS[step].__doc__}", flush=True)
        report[step], begin = {}, time.monotonic()
        try:
            STEPS[step](report[step])
        except (Failed, subprocess.TimeoutExpired, OSError,
                ImportError) as error:
            failed.append(step)
            report[step]["failed"] = str(error)
            print(f"FAILED {step}: {error}")
        print(f"   {time.monotonic() - begin:.0f} s", flush=True)
        with open(args.json, "w") as file:  # also where a later step hangs
            json.dump(report, file, indent=1)
    print("all steps passed" if not failed else f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
