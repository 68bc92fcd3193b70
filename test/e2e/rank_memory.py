"""The memory plan of each rank against what is allocated, within 2 %.

    rank_memory.py --bin build/bin --worker RankMemory [--work DIR]

Of artifacts for one rank and for several, on the cpu and on the simulator: what
hadal-compile says that a rank takes (weights, cache, states, the largest arena,
workspaces), what the runtime plans before it allocates, and what every rank has
allocated once it has run. The scratch of threads of the cpu is not memory of the
driver and is left out of the plan. One line a row, then `N passed, N failed`.
Needs python3 and numpy.
"""

import json
import os
import re
import subprocess

import compare
import make_configs
import script

CLOSE = 0.02
SIZES = ["--max-batch-size=8", "--max-seq-len=512", "--decode-buckets=8",
         "--prefill-buckets=64"]
# (model, options of the layout, targets)
CASES = [
    ("tiny", [], ["cpu", "sm_90a"]),
    ("tiny", ["--dp=2"], ["cpu", "sm_90a"]),
    ("tiny", ["--dp=4", "--redundant-experts=4"], ["cpu"]),
    ("v3-tp-fp8", ["--tp=2"], ["cpu", "sm_90a"]),
    ("v3-tp-fp8", ["--tp=2", "--dp=2"], ["cpu"]),
]


def call(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True,
                          text=True, timeout=600)
    if done.returncode:
        raise script.ToolError(f"{command[0]}: status {done.returncode}: "
                                f"{done.stderr.strip()[-400:]}")
    return done.stdout + done.stderr


def planned_bytes(report):
    """The total of a memory plan, and the scratch in it."""
    def bytes_of(line):
        found = re.search(rf"^  {line}.*\((\d+) bytes\)$", report, re.M)
        return int(found[1]) if found else 0
    total = bytes_of("total")
    if not total:
        raise script.ToolError(f"no total in {report}")
    return total - bytes_of("scratch, each thread")


def check(args, work, name, layout, target):
    model = compare.TINY if name == "tiny" else make_configs.write(name, work)
    artifact = os.path.join(work, "m.hadal")
    images = ["--images=native"] if target == "cpu" else ["--ptxas=none"]
    plan = planned_bytes(call(
        os.path.join(args.bin, "hadal-compile"), model, "-o", artifact,
        f"--target={target}", *images, *SIZES, *layout))
    ranks = json.loads(call(args.worker, artifact, model,
                            "cpu" if target == "cpu" else "sim"))
    allocated = [sum(rank["allocated"].values()) for rank in ranks]
    used = [bytes + rank["host_weights"]
            for bytes, rank in zip(allocated, ranks)]
    # The runtime plans what it allocates: not one byte else.
    exact = all(rank["planned"] == bytes
                for rank, bytes in zip(ranks, allocated))
    worst = max(abs(bytes / plan - 1) for bytes in used)
    return (exact and worst <= CLOSE,
            f"planned {plan}, used {min(used)} to {max(used)} by "
            f"{len(ranks)} ranks ({worst:.2%}), the runtime's plan is "
            f"{'exact' if exact else 'not what is allocated'}")


def run(args, work, report):
    for name, layout, targets in CASES:
        for target in targets:
            report.row(f"{name} {' '.join(layout) or 'one rank'} {target}",
                       lambda n=name, l=layout, t=target:
                       check(args, work, n, l, t))


if __name__ == "__main__":
    script.main("memory", run, ("--worker", {"required": True}))
