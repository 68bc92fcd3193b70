"""What these scripts share: their options, one line a row, the exit status.

Every script of rows takes --bin DIR (the built tools), --work DIR (used and kept,
instead of a directory that is removed), --keep and --only TEXT (the rows whose name
holds TEXT), prints a line a row, then `N passed, N failed`, and ends with 1 where a
row failed or none ran.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

QUICK = ("--quick", {"action": "store_true"})
THREADS = ("--threads", {"type": int, "default": 2})


class ToolError(Exception):
    """A tool ended otherwise than its row expects; the row fails."""


class Report:
    """Prints one line a row and counts."""

    def __init__(self, only):
        self.only, self.passed, self.failed = only, 0, 0

    def row(self, name, check):
        """Runs check() -> (passed, text) unless --only leaves the row out."""
        if self.only and self.only not in name:
            return
        try:
            good, text = check()
        except (ToolError, subprocess.TimeoutExpired) as error:
            good, text = False, str(error)
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {text}", flush=True)


def main(name, run, *options, need_bin=True):
    """Calls run(arguments, work, report) and exits. |options|: (flag, keywords of
    add_argument) beside those that all scripts take."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=need_bin)
    parser.add_argument("--work")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only")
    for flag, keywords in options:
        parser.add_argument(flag, **keywords)
    arguments = parser.parse_args()
    work = arguments.work or tempfile.mkdtemp(prefix=f"hadal-{name}-")
    os.makedirs(work, exist_ok=True)
    report = Report(arguments.only)
    try:
        run(arguments, work, report)
    finally:
        if not arguments.keep and not arguments.work:
            shutil.rmtree(work)
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(1 if report.failed or not report.passed else 0)
