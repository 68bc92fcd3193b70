#!/usr/bin/env python3
"""Ranks as processes with a real model: hadal-run --comm mpi.

models/tiny on 4 ranks: logits equal to the bit to those of ranks that are threads,
text equal too; what cannot be joined is refused with its code in time; a rank
that is killed in the middle is named by the others.

  ranks_mpi.py --bin DIR

Without mpirun it exits with 77, which ctest takes for a skipped test.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

from tiny import MODEL, TinyTest

SKIPPED = 77
IDS = "5,17,3,9,20,4;9,4,8;100,7,7,12,30;2,3;44,5,6,7,8,9,10,11"
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none"]
# mpirun is not to end the others: they do that themselves.
KEEP = ["--mca", "orte_allowed_exit_without_sync", "1",
        "--mca", "orte_abort_on_non_zero_status", "0"]
# Notes the exit status of each rank.
WRAPPER = '"$@"; echo $? >"$RUN/end-$OMPI_COMM_WORLD_RANK"'


class Test(TinyTest):
    def __init__(self, tools, directory):
        super().__init__(tools, directory)
        self.runs = 0

    def environment(self, **more):
        return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
                    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **more)

    def ranks(self, each, **environment):
        """Ranks with different commands; their exit statuses, stderr, seconds."""
        self.runs += 1
        run = self.file(f"run-{self.runs}")
        os.mkdir(run)
        command = MPIRUN + KEEP
        for i, (artifact, options, variables) in enumerate(each):
            if i:
                command.append(":")
            command += ["-n", "1"]
            for name, value in variables.items():
                command += ["-x", f"{name}={value}"]
            command += ["sh", "-c", WRAPPER, "sh", self.tool("hadal-run"),
                        self.file(artifact), "-q", "--comm", "mpi", "-n", "16",
                        "-p", "Once upon", *options]
        variables = dict(RUN=run, HADAL_RENDEZVOUS=f"file:{run}/meet",
                         HADAL_JOB_TOKEN=f"{self.runs:064x}")
        variables.update(environment)
        began = time.time()
        result = subprocess.run(command, env=self.environment(**variables),
                                capture_output=True, text=True, timeout=120)
        ends = []
        for i in range(len(each)):
            with open(os.path.join(run, f"end-{i}"), encoding="utf-8") as file:
                ends.append(int(file.read()))
        return ends, result.stderr, time.time() - began

    # ---- what ranks compute

    def equal_bits(self):
        for comm in ("loopback", "mpi"):
            result = self.run("hadal-run", "four.hadal", "--ranks", "4",
                              "--comm", comm, "--input-ids", IDS, "--logits",
                              "all", "--output", self.file(comm + ".npy"))
            self.check(f"logits over {comm}", result.returncode == 0,
                       result.stderr)
        logits = []
        for comm in ("loopback", "mpi"):
            with open(self.file(comm + ".npy"), "rb") as file:
                logits.append(file.read())
        self.check("logits over mpi and loopback", logits[0] == logits[1],
                   "they differ")
        texts = [self.run("hadal-run", "four.hadal", "--ranks", "4",
                          "--comm", comm, "-n", "8", "-p", "Once upon").stdout
                 for comm in ("loopback", "mpi")]
        self.check("text", texts[0] == texts[1] and texts[0].strip(), texts)

    def environment_check(self):
        result = self.run("hadal-run", "four.hadal", "--ranks", "2",
                          "--comm", "mpi", "-p", "x", "--check-env")
        self.check("--check-env", result.returncode == 0 and
                   "rank 1: host " in result.stderr and "Open MPI" in
                   result.stderr and "all_to_all of 1 MiB" in result.stderr,
                   result.stderr)

    # ---- what is refused

    def refused(self, what, each, statuses, texts, limit=30.0, **environment):
        ends, said, seconds = self.ranks(each, **environment)
        self.check(what + ": exit", ends == statuses, f"{ends}, {said}")
        for text in texts:
            self.check(f"{what}: '{text}'", text in said, said)
        self.check(what + ": time", seconds < limit, f"{seconds:.1f} s")

    def refusals(self):
        weights = ["--weights", MODEL]
        plain = ("two.hadal", weights, {})
        other = self.file("checkpoint")
        shutil.copytree(MODEL, other)
        for name in os.listdir(other):
            if name.endswith(".safetensors"):
                with open(os.path.join(other, name), "r+b") as file:
                    file.seek(-1, os.SEEK_END)
                    last = file.read(1)
                    file.seek(-1, os.SEEK_END)
                    file.write(bytes([last[0] ^ 1]))
        self.refused("another artifact",
                     [plain, ("other.hadal", weights, {})], [3, 3],
                     ["error H6003: rank 1 (host ", "has another artifact"])
        self.refused("another checkpoint",
                     [plain, ("two.hadal", ["--weights", other], {})], [3, 3],
                     ["error H6003: rank 1 (host ", "has another checkpoint"])
        self.refused("an artifact for more ranks",
                     [("four.hadal", weights, {})] * 2, [2, 2],
                     ["error H6004", "4 ranks"])
        self.refused("another number of ranks",
                     [("two.hadal", weights,
                       {"HADAL_RANK": 0, "HADAL_RANKS": 2}),
                      ("two.hadal", weights,
                       {"HADAL_RANK": 1, "HADAL_RANKS": 3})], [3, 3],
                     ["error H6003: rank 1 (host ",
                      "was started as one of 3 ranks, rank 0 as one of 2"])
        soon = weights + ["--join-timeout", "1"]
        # Rank 1 may start long after rank 0 where other work has the machine.
        patient = weights + ["--join-timeout", "8"]
        self.refused("another token",
                     [("two.hadal", patient, {}),
                      ("two.hadal", patient, {"HADAL_JOB_TOKEN": "f" * 64})],
                     [6, 6], ["error H6002: rank 0 at file:",
                              "refused rank 1: its token",
                              "error H6002: rank 1 did not join"])
        self.refused("a missing rank",
                     [("two.hadal", soon, {"HADAL_RANK": 0, "HADAL_RANKS": 2})],
                     [6], ["error H6002: rank 1 did not join within 1 s"])
        self.refused("no MPI",
                     [("two.hadal", weights,
                       {"HADAL_LIBMPI": "/nonexistent.so"})] * 2, [5, 5],
                     ["error H6005: cannot open '/nonexistent.so'"])
        for ranks in ("3", "1"):
            self.refused(f"--ranks {ranks} of two",
                         [("two.hadal", weights + ["--ranks", ranks], {})] * 2,
                         [2, 2], [f"error H5011: --ranks {ranks}, and mpirun "
                                  "has started 2"])

    def contradictions(self):
        for options, text in (
                (["--check-env"], "--check-env, --rendezvous, --join-timeout "
                                  "and --flight-record are for ranks that are "
                                  "processes"),
                (["--ranks", "2", "--join-timeout", "5"], "--join-timeout"),
                (["--check-collectives"], "--check-collectives are for several "
                                          "ranks"),
                (["--comm", "mpi", "--ranks", "2", "--comm-delay", "5"],
                 "--comm-delay is for ranks that are threads"),
                (["--comm", "tcp"], "--comm")):
            result = self.run("hadal-run", "two.hadal", "-p", "x", *options)
            self.check(f"{options}", result.returncode == 2 and
                       "error H5011" in result.stderr and
                       text in result.stderr, result.stderr)

    def lost(self):
        """Killed at a collective of a model: the other says where it waited."""
        weights = ["--weights", MODEL]
        self.refused("a lost rank", [("two.hadal", weights, {})] * 2,
                     [6, 137],
                     ["error H6001: rank 1 (host ", "is gone; rank 0 waited at "
                      "collective", "'dispatch, layer 2'", "entry decode"],
                     HADAL_FAULT="rank=1,at=dispatch:2,times=5,do=kill")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    arguments = parser.parse_args()
    if not shutil.which("mpirun"):
        print("skipped: no mpirun; tools/setup installs openmpi-bin")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="hadal-ranks-") as directory:
        test = Test(arguments.bin, directory)
        test.compile("two.hadal", "--dp", "2")
        test.compile("four.hadal", "--dp", "4")
        test.compile("other.hadal", "--dp", "2", "--max-batch-size", "2")
        test.equal_bits()
        test.environment_check()
        test.refusals()
        test.contradictions()
        test.lost()
    return test.finish()


if __name__ == "__main__":
    sys.exit(main())
