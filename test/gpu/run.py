"""Checks and times hadal on a GPU; see README.md.

    run.py [--only STEP,...] [--skip STEP,...] [--out DIR] [--minutes N]
           [--rehearse LIBCUDA CUBLASLT LIBNCCL]

DIR (default: results beside this file) gets gpu.json, rewritten whenever a
step or a kernel is done, table.md and gpu.log. --rehearse goes through every
step without a GPU: on the libraries that are named, in a folder of
`prepare.sh --rehearsal`.
"""

import argparse
import datetime
import glob
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time

import tables
from bench import HERE, Failed, Runner, last_line

BENCH = os.path.join(HERE, "bin/hadal-bench")
RUN = os.path.join(HERE, "bin/hadal-run")
TINY = os.path.join(HERE, "models/tiny")
PROMPTS = ["In the beginning", "And the king said", "Blessed are they"]
SANITIZERS = ["memcheck", "synccheck", "initcheck", "racecheck"]
# The kernels of an artifact that are measured: fields of their specs.
SHAPE_ARTIFACTS = {
    "shape-o4096x7168.hadal": {"n": 4096, "k": 7168},
    "shape-o32768x512.hadal": {"n": 32768, "k": 512},
    "shape-o8192x8192.hadal": {"n": 8192, "k": 8192, "rows": 8192}}


def heavy(spec):
    """Reads the weights of all experts of V3, or of its vocabulary."""
    return spec.get("kind") == "gemm" and (
        spec["experts"] == 256 or spec["n"] == 129280)


def path(name):
    return os.path.join(HERE, name)


def note(step, text):
    """A line for the table, printed at once."""
    print("  " + text, flush=True)
    step.setdefault("notes", []).append(text)


def error_of(row):
    """JSON has no infinity: a result with a NaN has no error."""
    error = row.get("relative_error")
    return float("inf") if error is None else error


def describe_broken(step, broken):
    for name, reason in broken.items():
        note(step, f"{name}: {reason}")
    return [name for name, reason in broken.items()
            if not reason.startswith("not run")]


def check_artifact(runner, step, artifact, names, limit):
    rows, broken, _ = runner.kernels(path(artifact), names, "--check-only",
                                     limit=limit)
    step[artifact] = rows
    wrong = [row["name"] for row in rows if not row["right"]]
    for row in rows:
        if not row["right"]:
            note(step, f"{row['name']}: relative error {error_of(row):.1e}")
    failed = describe_broken(step, broken)
    note(step, f"{artifact}: {len(rows) - len(wrong)} of {len(names)} kernels "
         "right")
    return wrong + failed


def check(runner, step, rehearsal):
    """Kernels against references in double; the simulator's beside them."""
    small = list(runner.kernel_specs(path("small.hadal")))
    bad = check_artifact(runner, step, "small.hadal", small, 120)
    with open(path("sim.json")) as file:
        simulated = {k["name"]: k for k in json.load(file)["kernels"]}
    apart = [row["name"] for row in step["small.hadal"]
             if row["right"] != simulated.get(row["name"], row)["right"] or
             abs(error_of(row) - error_of(simulated.get(row["name"], row))) >
             0.02 + 0.5 * error_of(row)]
    note(step, f"the simulator (13-bit FP8 accumulation) and the GPU agree on "
         f"{len(small) - len(apart)} of {len(small)} kernels"
         + (f"; apart: {', '.join(apart)}" if apart else ""))
    # Experts and the head are gigabytes each: `times` checks them.
    names = [n for n, spec in runner.kernel_specs(path("v3.hadal")).items()
             if not heavy(spec)]
    bad += check_artifact(runner, step, "v3.hadal", names, 150)
    if bad:
        raise Failed(f"{len(bad)} kernels are wrong or do not run")


def tiny(runner, step, rehearsal):
    """The tiny model on cuda against cpu: logits and text."""
    import numpy as np
    count, length = (12, 8) if rehearsal else (96, 32)
    ids = ",".join(str(3 + 37 * i % 400) for i in range(count))
    logits, devices = {}, (("cpu", "tiny-cpu.hadal"),
                           ("cuda", "tiny-sm_90a.hadal"))
    for device, artifact in devices:
        file = os.path.join(runner.out, f"{device}.npy")
        runner.checked(RUN, path(artifact), "--weights", TINY, "--device",
                       device, "--input-ids", ids, "--logits", "all",
                       "--output", file, limit=60)
        logits[device] = np.load(file).astype(np.float64)
        os.remove(file)
    a, b = logits["cpu"], logits["cuda"]
    cosine = 1 - (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    step["median_one_minus_cosine"] = float(np.median(cosine))
    step["worst_one_minus_cosine"] = float(cosine.max())
    note(step, f"logits of {count} positions, cuda against cpu: 1-cos median "
         f"{np.median(cosine):.1e}, worst {cosine.max():.1e}")
    if not np.median(cosine) < 1e-3:
        raise Failed("the median of 1-cos is not below 1e-3")
    prompts = PROMPTS[:1] if rehearsal else PROMPTS
    for prompt in prompts:
        texts = [runner.checked(RUN, path(artifact), "--weights", TINY,
                                "--device", device, "-p", prompt, "-n",
                                str(length), "--temp", "0", limit=60)
                 for device, artifact in devices]
        if texts[0] != texts[1]:
            raise Failed(f"{prompt!r}: cpu wrote {texts[0]!r}, cuda {texts[1]!r}")
    note(step, f"greedy text of {len(prompts)} prompts: equal")


def sanitize(runner, step, rehearsal):
    """The kernels of a small artifact under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer",
                        path=runner.environment.get("PATH")) or \
        "/usr/local/cuda/bin/compute-sanitizer"
    if not os.path.exists(tool):
        note(step, "compute-sanitizer is not on this machine: not run")
        return
    bad, end = [], time.monotonic() + 130
    for sanitizer in SANITIZERS:
        status, out, err = runner.call(
            tool, "--tool", sanitizer, "--error-exitcode", "9", BENCH,
            path("small.hadal"), "--device", "cuda", "--kernels",
            "--check-only", limit=min(50, end - time.monotonic()))
        summary = re.search(r"(ERROR|RACECHECK) SUMMARY: .*", out + err)
        step[sanitizer] = {
            "status": status,
            "summary": summary.group(0) if summary else last_line(err or out)}
        note(step, f"{sanitizer}: {step[sanitizer]['summary']}"
             + (" (stopped at its time limit)" if status is None else ""))
        if status not in (0, None):
            bad.append(sanitizer)
    if bad:
        raise Failed(f"{', '.join(bad)} found something, see gpu.log")


def gather_peers(runner, step, rehearsal):
    """What torch and Triton reach at the published shapes, in a process of
    their own: it may not take ours with it."""
    wanted = {shape for row in step["kernels"]
              if (shape := tables.dense_gemm(row.get("spec", {})))}
    if rehearsal:
        wanted = {(4, 256, 384), (1, 128, 256)}
    status, out, err = runner.call(
        sys.executable, path("peers.py"), *(["--small"] if rehearsal else []),
        *(f"{m},{n},{k}" for m, n, k in sorted(wanted)), limit=130)
    step["peers"] = {}
    for line in out.splitlines():
        try:
            for key, value in json.loads(line).items():
                (step["peers"] if "," in key else step)[key] = value
        except ValueError:
            continue  # a warning
    if "torch_bf16_flops_per_second" in step:
        note(step, f"{step['torch']}: copy "
             f"{step['torch_copy_bytes_per_second'] / 1e9:.0f} GB/s, bf16 "
             f"{step['torch_bf16_flops_per_second'] / 1e12:.0f} TFLOP/s")
    if isinstance(step.get("cudnn_sdpa_4096"), float):
        note(step, "cuDNN attention, 4096 tokens, 128 heads, 192/128: "
             f"{step['cudnn_sdpa_4096'] * 1e6:.0f} us")
    if status != 0:
        note(step, f"the peers ended early: {last_line(err)}")


def measured(runner, step, artifact, names, limit, keep):
    """Times kernels and adds their rows to the step; [wrong or broken]."""
    before = list(step["kernels"])

    def rows_so_far(rows):
        step["kernels"] = before + rows
        keep()

    rows, broken, machine = runner.kernels(path(artifact), names, limit=limit,
                                           keep=rows_so_far)
    step["kernels"] = before + rows
    step["machine"] = step.get("machine") or machine.get("machine", {})
    wrong = [row["name"] for row in rows if not row["right"]]
    for name in wrong:
        note(step, f"{name} is wrong and was not timed")
    note(step, f"{artifact}: {len(rows) - len(wrong)} kernels timed")
    return wrong + describe_broken(step, broken)


def times(runner, step, rehearsal):
    """Kernels of V3 and at published shapes, in turns with torch and Triton."""
    def keep():
        save(runner, report_of[0])

    step["kernels"] = []
    specs = runner.kernel_specs(path("v3.hadal"))
    names = list(specs)
    if rehearsal:
        names = [n for n in names if specs[n].get("rows") != 64][:12]
    last = [n for n in names if heavy(specs[n])]
    bad = measured(runner, step, "v3.hadal",
                   [n for n in names if n not in last], 110, keep)
    shapes = {}
    for artifact, fields in SHAPE_ARTIFACTS.items():
        found = runner.kernel_specs(path(artifact))
        shapes[artifact] = [n for n, spec in found.items()
                            if fields.items() <= spec.items()]
        if rehearsal:
            shapes[artifact] = list(found)[:1]
        bad += measured(runner, step, artifact, shapes[artifact], 60, keep)
    gather_peers(runner, step, rehearsal)
    keep()
    # The GEMMs again: how far two measurements of one run are apart.
    gemms = [n for n in names if tables.dense_gemm(specs[n])] or names[:1]
    again, _, _ = runner.kernels(path("v3.hadal"), gemms, limit=60)
    first = {row["name"]: row.get("seconds") for row in step["kernels"]}
    apart = [abs(row["seconds"] / first[row["name"]] - 1) for row in again
             if row.get("seconds") and first.get(row["name"])]
    if apart:
        note(step, f"{len(apart)} GEMMs timed again after the peers: "
             f"{max(apart):.0%} apart at most")
    if last:
        bad += measured(runner, step, "v3.hadal", last, 150, keep)
    if bad:
        raise Failed(f"{len(bad)} kernels are wrong or do not run")


def slice_(runner, step, rehearsal):
    """A 4-layer slice of V3 decoding from captured graphs."""
    weights = path("models/slice")
    if not os.path.exists(os.path.join(weights, "model.safetensors")):
        # In memory where there is room: 14 GB are written once and read once.
        if os.path.isdir("/dev/shm") and \
                shutil.disk_usage("/dev/shm").free > 32e9:
            weights = "/dev/shm/hadal-slice"
        runner.checked(sys.executable, path("models/bench/make_v3_shaped.py"),
                       "--out", weights, "--dense-layers", "3", "--moe-layers",
                       "1", "--experts", "256", "--vocab", "32768", limit=180)
    lengths = ("8", "3", "1,2") if rehearsal else ("512", "64", "1,16,64")
    file = os.path.join(runner.out, "slice.json")
    try:
        out = runner.checked(
            BENCH, path("slice.hadal"), "--weights", weights, "--device", "cuda",
            "--prompt-len", lengths[0], "--gen-len", lengths[1], "--batch",
            lengths[2], "--json", file, limit=150)
        with open(file) as text:
            step.update(json.load(text))
        os.remove(file)
    finally:
        if weights.startswith("/dev/shm"):
            shutil.rmtree(weights, ignore_errors=True)
    print(out, flush=True)


def ranks(runner, step, rehearsal):
    """Ranks over NCCL: a GPU each, an all-to-all in a graph, the tiny model."""
    import numpy as np
    gpus = 2 if rehearsal else len(graphics_card(runner).splitlines())
    weights = ["--weights", TINY, "--device", "cuda"]
    for count in sorted({1, gpus}):
        _, _, said = runner.succeed(
            RUN, path("ranks-1.hadal"), *weights, "--comm", "nccl", "--ranks",
            str(count), "-p", "x", "--check-env", limit=90)
        for line in said.splitlines():
            if line.startswith(("rank ", "all_to_all ")):
                note(step, line)
    if gpus < 2:
        note(step, "one GPU: models are not run on several ranks")
        return
    # Experts on two ranks against one rank with the rows of each, bit for bit.
    length = 3 if rehearsal else 24
    rows = [[3 + (37 * i + 11 * r) % 400 for i in range(length)]
            for r in range(4)]

    def logits(artifact, rows, *options):
        file = os.path.join(runner.out, "ranks.npy")
        runner.checked(RUN, path(artifact), *weights, "--input-ids",
                       ";".join(",".join(map(str, row)) for row in rows),
                       "--logits", "all", "--output", file, "--prefill-chunk",
                       "1", *options, limit=120)
        values = np.load(file).view(np.uint32)
        os.remove(file)
        return values.reshape(len(rows), length, -1)

    two = logits("ranks-2.hadal", rows, "--ranks", "2")
    one = np.empty_like(two)
    for r in range(2):
        one[r::2] = logits("ranks-1.hadal", rows[r::2])
    differing = int(np.count_nonzero(one != two))
    step["differing_logits"] = differing
    note(step, f"decode of {len(rows)} rows on 2 ranks, captured: {differing} of "
         f"{two.size} logits differ from one rank's in their bits")
    if differing:
        raise Failed("two ranks and one do not give the same bits")


STEPS = {"check": check, "tiny": tiny, "sanitize": sanitize, "times": times,
         "slice": slice_, "ranks": ranks}
report_of = [None]


def save(runner, report):
    """Rewrites gpu.json and table.md."""
    for name, text in (("gpu.json", json.dumps(report, indent=1)),
                       ("table.md", "\n".join(tables.tables(report)) + "\n")):
        target = os.path.join(runner.out, name)
        with open(target + ".tmp", "w") as file:
            file.write(text)
        os.replace(target + ".tmp", target)


def find_library(name):
    """A library that torch brings, or None."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(glob.glob(os.path.join(folder, f"*/lib/{name}.so.*")))
        if found:
            return found[-1]
    return None


def graphics_card(runner):
    status, out, err = runner.call(
        "nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm",
        "--format=csv,noheader", limit=30)
    return out.strip() if status == 0 else f"nvidia-smi: {last_line(err)}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(STEPS))
    parser.add_argument("--skip", default="")
    parser.add_argument("--out", default=path("results"))
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--rehearse", nargs=3,
                        metavar=("LIBCUDA", "CUBLASLT", "LIBNCCL"))
    args = parser.parse_args()
    steps = [s for s in args.only.split(",") if s not in args.skip.split(",")]
    for step in steps:
        if step not in STEPS:
            parser.error(f"no step '{step}'; there are {', '.join(STEPS)}")
    os.makedirs(args.out, exist_ok=True)
    for tool in glob.glob(path("bin/*")):
        os.chmod(tool, 0o755)  # a copy may have lost it
    runner = Runner(args.out, 60 * args.minutes)
    rehearsal = args.rehearse is not None
    if rehearsal:
        runner.environment.update(
            HADAL_LIBCUDA=args.rehearse[0], HADAL_CUBLASLT=args.rehearse[1],
            HADAL_LIBNCCL=args.rehearse[2],
            PATH=path("stubs") + os.pathsep + os.environ["PATH"])
    else:
        for variable, name in (("HADAL_CUBLASLT", "libcublasLt"),
                               ("HADAL_LIBNCCL", "libnccl")):
            if variable not in os.environ and find_library(name):
                runner.environment[variable] = find_library(name)
    report = report_of[0] = {"date": datetime.date.today().isoformat(),
                             "rehearsal": rehearsal, "steps": {}}
    try:
        report["gpu"] = graphics_card(runner)
    except OSError as error:
        report["gpu"] = f"nvidia-smi: {error}"
    print(report["gpu"], report["date"])
    failed = []
    for name in steps:
        print(f"== {name}: {STEPS[name].__doc__}", flush=True)
        step = report["steps"][name] = {}
        begin = time.monotonic()
        try:
            STEPS[name](runner, step, rehearsal)
            step["result"] = "passed"
        except Exception as error:  # the later steps must run
            kind = "" if isinstance(error, Failed) else type(error).__name__ + " "
            failed.append(name)
            step["result"] = f"FAILED: {kind}{error}"
            print(step["result"])
        step["seconds"] = time.monotonic() - begin
        print(f"   {step['seconds']:.0f} s", flush=True)
        save(runner, report)
    print("\n".join(tables.tables(report)))
    print("all steps passed" if not failed else f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
