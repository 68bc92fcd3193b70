#!/usr/bin/env python3
"""mpirun.py RANKS PROGRAM [ARGS...]: runs a test program as ranks under mpirun.

The ranks meet in a directory that HADAL_TEST_DIRECTORY names, which is removed
afterwards. Exits with 77, which ctest takes for a skipped test, and a line where
there is no mpirun.
"""
import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def command(ranks):
    """mpirun for test machines: few cores, perhaps a container's root. Ranks whose
    operations were aborted end without MPI_Finalize."""
    return ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none",
            "--mca", "mpi_yield_when_idle", "1",
            "--mca", "orte_allowed_exit_without_sync", "1"]


def environment():
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
                OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def main():
    ranks, program = int(sys.argv[1]), sys.argv[2:]
    if not shutil.which("mpirun"):
        print("skipped: no mpirun; tools/setup installs openmpi-bin")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="hadal-mpi-") as directory:
        return subprocess.run(
            command(ranks) + program,
            env=dict(environment(), HADAL_TEST_DIRECTORY=directory)).returncode


if __name__ == "__main__":
    sys.exit(main())
