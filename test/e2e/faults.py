#!/usr/bin/env python3
"""A rank that is lost is named by all others, which end in time.

Runs ranks under mpirun and loses one: killed, stopped, spinning or ended, at a
phase of its life (HADAL_FAULT, which builds with tests obey) or by a signal at a
random moment. Every survivor must exit with 6 within the limit of its kind and
print one line that names the lost rank and, where it is lost at a collective, that
collective.

  faults.py --worker FaultWorker [--count N] [--seed S] [--jobs J]

Without mpirun it exits with 77, which ctest takes for a skipped test.
"""
import argparse
import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
# Of the worker: how long a rank waits for another; joining takes half more.
TIMEOUT_S = 2.0
SILENCE_S = 2.0
# Seconds from the fault to the end of the last survivor, by kind.
LIMITS = {"kill": 1.0, "exit": 1.0, "stop": 5.0, "spin": 5.0}
COLLECTIVES = ["dispatch:0", "dispatch:5", "return:3", "return:7", "gather:7"]
PHASES = ["join", "load weights", "agreement", "idle", "end"] + COLLECTIVES

# Notes the exit status of each rank, and by the file's time when that was.
WRAPPER = ('trap : TERM; "$@" 2>"$RUN/err-$OMPI_COMM_WORLD_RANK"; '
           'echo $? >"$RUN/end-$OMPI_COMM_WORLD_RANK"')


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Run:
    """One run of ranks that loses one of them."""

    def __init__(self, worker, seed):
        chance = random.Random(seed)
        self.worker, self.seed = worker, seed
        self.ranks = chance.choice([2, 3, 4])
        self.victim = chance.randrange(self.ranks)
        self.kind = chance.choice(list(LIMITS))
        self.phase = chance.choice(PHASES + ["signal"])
        if self.phase == "signal":  # from outside: only what a signal can do
            self.kind = chance.choice(["kill", "stop"])
        self.times = 1
        if self.phase == "agreement":
            self.times = chance.randrange(1, 7)
        elif self.phase in COLLECTIVES:
            self.times = chance.randrange(1, 6)
        self.delay = chance.uniform(0.02, 0.12)

    def __str__(self):
        return (f"seed {self.seed}: rank {self.victim} of {self.ranks}, "
                f"{self.kind} at {self.phase} x{self.times}")

    def environment(self, directory):
        result = dict(
            os.environ, RUN=directory, WORKER_PIDS=directory,
            WORKER_FLIGHTS=directory + "/flights",
            WORKER_TIMEOUT_MS=str(int(TIMEOUT_S * 1000)),
            HADAL_RENDEZVOUS=f"file:{directory}/meet",
            HADAL_JOB_TOKEN=f"{self.seed:064x}",
            HADAL_FAULT_MARK=directory + "/fault",
            OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        if self.phase != "signal":
            result["HADAL_FAULT"] = (f"rank={self.victim},at={self.phase},"
                                     f"do={self.kind},times={self.times}")
        return result

    def execute(self, directory):
        """Returns what is wrong, "" if nothing."""
        # mpirun is not to end the survivors: they do that themselves.
        command = ["mpirun", "-n", str(self.ranks), "--oversubscribe",
                   "--bind-to", "none", "--mca", "orte_allowed_exit_without_sync",
                   "1", "--mca", "orte_abort_on_non_zero_status",
                   "0", "sh", "-c", WRAPPER, "sh", self.worker]
        self.directory = directory
        job = subprocess.Popen(command, env=self.environment(directory),
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL,
                               start_new_session=True)
        try:
            return self.judge(self.wait(job))
        finally:
            self.kill_victim()
            try:
                job.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()

    def file(self, name):
        return os.path.join(self.directory, name)

    def survivors(self):
        return [r for r in range(self.ranks) if r != self.victim]

    def kill_victim(self):
        pid = read(self.file(f"pid-{self.victim}")).strip()
        # A victim that has ended has said so.
        if pid and not os.path.exists(self.file(f"end-{self.victim}")):
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def wait(self, job):
        """The moment of the fault, once all survivors have ended."""
        fault = None
        stop = time.time() + 30
        while time.time() < stop:
            if fault is None:
                if self.phase == "signal":
                    fault = self.send_signal()
                elif os.path.exists(self.file("fault")):
                    fault = os.stat(self.file("fault")).st_mtime
            if all(read(self.file(f"end-{r}")).endswith("\n")
                   for r in self.survivors()):
                break
            time.sleep(0.005)
        return fault

    def send_signal(self):
        """Once the victim has stepped for a while."""
        if not all(os.path.exists(self.file(f"pid-{r}"))
                   for r in range(self.ranks)) \
                or not os.path.exists(self.file("meet")):
            return None
        pid = read(self.file(f"pid-{self.victim}"))
        if not pid.endswith("\n"):
            return None
        time.sleep(self.delay)
        now = time.time()
        try:
            os.kill(int(pid), signal.SIGKILL if self.kind == "kill"
                    else signal.SIGSTOP)
        except ProcessLookupError:  # it had come to its end
            return None
        return now

    def judge(self, fault):
        if fault is None:
            return "the fault did not happen"
        for rank in self.survivors():
            wrong = self.judge_rank(rank, fault)
            if wrong:
                return f"rank {rank}: {wrong}"
        return ""

    def judge_rank(self, rank, fault):
        end = read(self.file(f"end-{rank}"))
        said = read(self.file(f"err-{rank}"))
        if not end:
            return f"has not ended; it said: {said}"
        status = int(end)
        seconds = os.stat(self.file(f"end-{rank}")).st_mtime - fault
        # All work is done at the end: a rank may have left before it saw.
        if self.phase in ("end", "idle") and status == 0:
            return ""
        limit = LIMITS[self.kind]
        if "H6002" in said:  # nobody misses a rank before the time to join is up
            limit = 1.5 * TIMEOUT_S + 2
        if status != 6:
            return f"exit status {status}, expected 6; it said: {said}"
        if seconds > limit:
            return f"{seconds:.2f} s after the fault, limit {limit} s: {said}"
        lines = [line for line in said.splitlines() if "error H" in line]
        if len(lines) != 1:
            return f"expected one line, found: {said}"
        return self.judge_line(rank, lines[0])

    def judge_join(self, rank, text):
        """Whether |rank| may say |text| where the victim never joined."""
        if self.victim != 0:
            missing = re.match(r"ranks? ([\d, -]+) did not join within ", text)
            if missing:
                return any(
                    int(first) <= self.victim <= int(last or first)
                    for first, last in re.findall(r"(\d+)(?:-(\d+))?",
                                                  missing[1]))
            if re.match(rf"rank {self.victim} \(host \S+, pid \d+\) ended before "
                        "all ranks had joined$", text):
                return True
        # Who comes when rank 0 has ended misses rank 0; rank 0 names the victim.
        return rank != 0 and re.match(
            rf"rank {rank} does not reach rank 0 at |rank {rank}: rank 0 at \S+ "
            "(ended before all ranks had joined|did not start the run within )",
            text)

    def judge_line(self, rank, line):
        blamed = re.search(r"error H600([127]): (.*)", line)
        if not blamed:
            return f"no error of ranks: {line}"
        text = blamed.group(2)
        if self.phase == "join" or \
                (self.phase == "signal" and blamed.group(1) == "2"):
            if not self.judge_join(rank, text):
                return f"does not name rank {self.victim}: {line}"
            return ""
        if not text.startswith(f"rank {self.victim} (host ") or \
                ", pid " not in text:
            return f"does not name rank {self.victim}: {line}"
        if self.phase in COLLECTIVES:
            name, layer = self.phase.split(":")
            if f"'{name}, layer {layer}'" not in text:
                return f"does not name {self.phase}: {line}"
        return ""


def execute(worker, seed):
    run = Run(worker, seed)
    with tempfile.TemporaryDirectory(prefix="hadal-faults-") as directory:
        wrong = run.execute(directory)
    return f"{run}: {wrong}" if wrong else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3)
    arguments = parser.parse_args()
    if not shutil.which("mpirun"):
        print("skipped: no mpirun; tools/setup installs openmpi-bin")
        return SKIPPED
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    began = time.time()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        wrong = [text for text in
                 pool.map(lambda s: execute(arguments.worker, s), seeds)
                 if text]
    print("\n".join(wrong))
    print(f"faults: {len(seeds) - len(wrong)}/{len(seeds)} named in time, "
          f"{time.time() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
