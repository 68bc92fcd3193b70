#!/usr/bin/env python3
"""Compiles a model for sm_90a and fails on what ptxas finds wrong with a kernel:
a spill, a stack frame, or advice C75xx (a wgmma pipeline it serialises, a
setmaxnreg it ignores), and on what check_ptx.py finds. Also checks the artifact's size and the compiler's memory.

    check_facts.py HADAL_COMPILE HADAL_INSPECT MODEL WORK_DIR [OPTION...]

Exit status 77 where there is no ptxas.
"""
import json
import os
import resource
import subprocess
import sys

import check_ptx

MAX_ARTIFACT_BYTES = 10 * 10**6
MAX_COMPILER_BYTES = 2 * 10**9
SKIPPED = 77


def problems_of(kernel):
    """What is wrong with one kernel of `hadal-inspect --kernels`."""
    for key in ("spills", "stack"):
        if kernel[key] != 0:
            yield f"{kernel[key]} bytes of {key}"
    if kernel["advice"] != "none":
        yield kernel["advice"]
    if kernel["cubin_bytes"] == 0:
        yield "no cubin"


def main():
    compiler, inspect, model, work, *options = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    artifact = os.path.join(work, "model.hadal")
    compiled = subprocess.run(
        [compiler, model, "--target=sm_90a", "-o", artifact,
         "--kernel-cache=" + os.path.join(work, "cache"), *options],
        stderr=subprocess.PIPE, text=True)
    if compiled.returncode != 0:
        print(compiled.stderr)
        return 1
    if "PTX only" in compiled.stderr:
        print("no ptxas was found: skipped")
        return SKIPPED
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    kernels = json.loads(subprocess.run(
        [inspect, artifact, "--kernels", "--format", "json"],
        stdout=subprocess.PIPE, check=True, text=True).stdout)["kernels"]
    bad = 0
    for kernel in kernels:
        ptx = subprocess.run(
            [inspect, artifact, "--ptx", kernel["name"]],
            stdout=subprocess.PIPE, check=True, text=True).stdout
        for problem in [*problems_of(kernel), *check_ptx.problems_of(kernel, ptx)]:
            print(f"{kernel['name']}: {problem}")
            bad += 1
    size = os.path.getsize(artifact)
    print(f"{len(kernels)} kernels, {bad} problems, artifact {size} bytes, "
          f"compiler {peak} bytes")
    if size >= MAX_ARTIFACT_BYTES:
        print(f"the artifact has more than {MAX_ARTIFACT_BYTES} bytes")
        bad += 1
    if peak >= MAX_COMPILER_BYTES:
        print(f"the compiler took more than {MAX_COMPILER_BYTES} bytes")
        bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
