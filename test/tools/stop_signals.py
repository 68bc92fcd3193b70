#!/usr/bin/env python3
"""Ends hadal-run and hadal-compile by signals at random moments.

    stop_signals.py BIN_DIR MODEL_DIR [--count N] [--seed S] [--only PART]

Parts: load (weights while they are read), generate, passes (hadal-compile for
the cpu target) and ptxas (for sm_90a, with an assembler of ours that waits as a
slow one does, and its child). Each run must exit within 2 seconds with status
130, or 0 where it was done before, and leave no process, no directory of ptxas
and no temporary file behind. Prints a line for each part; exits 1 if a run did
not.
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SLOW_PTXAS = """#!/bin/sh
if [ "$1" = --version ]; then
  echo 'Cuda compilation tools, release 13.0, V13.0.88'; exit 0
fi
echo part > kernel.cubin
sleep 3600 &
wait
"""


def children_of(mark):
    """Processes whose environment holds |mark|."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z":
                    found.append(int(entry.name))
        except OSError:
            pass
    return found


class Part:
    def __init__(self, command, longest, marker=None):
        self.command, self.longest, self.marker = command, longest, marker


def stop(part, rng, work, number):
    """One run; what is wrong with its end, or None."""
    temporary = work / f"tmp{number}"
    temporary.mkdir()
    mark = f"HADAL_STOP_TEST={os.getpid()}-{number}"
    environment = {**os.environ, "TMPDIR": str(temporary),
                   "HADAL_STOP_TEST": mark.split("=")[1]}
    before = set(work.rglob("*"))
    process = subprocess.Popen(part.command, env=environment,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, start_new_session=True)
    begin = time.monotonic()
    if part.marker:  # a moment inside of what the part is about
        while (time.monotonic() - begin < 60 and process.poll() is None
               and not list(temporary.glob(part.marker))):
            time.sleep(0.005)
    time.sleep(rng.random() * part.longest)
    sent = rng.choice([signal.SIGTERM, signal.SIGINT])
    begin = time.monotonic()
    if process.poll() is None:
        process.send_signal(sent)
    try:
        _, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "did not end within 20 seconds"
    spent = time.monotonic() - begin
    # A killed grandchild may need a moment to be gone.
    left = children_of(mark)
    while left and time.monotonic() - begin < 2:
        time.sleep(0.05)
        left = children_of(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    files = [str(f) for f in set(work.rglob("*")) - before
             if f != temporary and (".tmp-" in f.name or temporary in f.parents)]
    status = process.returncode
    if status not in (0, 130):
        return f"status {status} by {sent.name}: {err.decode()[-200:]}"
    if spent > 2:
        return f"ended {spent:.1f} s after {sent.name}"
    if left:
        return f"left {len(left)} processes"
    if files:
        return f"left {files[:3]}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["load", "generate", "passes", "ptxas"])
    options = parser.parse_args()
    run, compile_ = (f"{options.bin}/{name}"
                     for name in ("hadal-run", "hadal-compile"))
    rng = random.Random(options.seed)
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        ptxas = work / "ptxas"
        ptxas.write_text(SLOW_PTXAS)
        ptxas.chmod(0o755)
        artifact = work / "m.hadal"
        few = ["--max-batch-size=1", "--decode-buckets=1",
               "--prefill-buckets=64", "--max-seq-len=512"]
        subprocess.run([compile_, options.model, "-o", artifact, *few],
                       check=True, stderr=subprocess.DEVNULL)
        ids = ",".join(str(i) for i in range(5, 400))
        parts = {
            "load": Part([run, artifact, "--weights", options.model,
                          "--input-ids", ids, "-n", "100", "--ignore-eos",
                          "--expert-load", work / "load.json"], 0.1),
            "generate": Part([run, artifact, "--weights", options.model,
                              "--input-ids", ";".join([ids] * 60), "-n", "100",
                              "--ignore-eos", "--logits", "all", "--output",
                              work / "logits.npy"], 1.5),
            "passes": Part([compile_, options.model, "-o", work / "c.hadal",
                            "--dump-phases-to", work / "dumps", *few], 3),
            "ptxas": Part([compile_, options.model, "-o", work / "g.hadal",
                           "--target=sm_90a", f"--ptxas={ptxas}",
                           "--kernel-cache", work / "cache", *few], 2,
                          "hadal-ptxas-*/kernel.ptx"),
        }
        for name, part in parts.items():
            if options.only not in (None, name):
                continue
            wrong = [w for w in (stop(part, rng, work, f"{name}{i}")
                                 for i in range(options.count)) if w]
            failures += len(wrong)
            print(f"{name}: {options.count} runs, {len(wrong)} wrong"
                  + "".join(f"\n  {w}" for w in wrong[:5]))
    return 1 if failures else 0


sys.exit(main())
