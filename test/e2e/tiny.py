"""Checks of tools on models/tiny, counted: the base of scripts of scenes."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "models", "tiny")


class TinyTest:
    """|tools|: directory of the built tools; |directory|: for files."""

    def __init__(self, tools, directory):
        self.tools, self.directory = os.path.abspath(tools), directory
        self.failures, self.checks = [], 0

    def file(self, name):
        return os.path.join(self.directory, name)

    def tool(self, name):
        return os.path.join(self.tools, name)

    def check(self, what, good, found=""):
        self.checks += 1
        if not good:
            self.failures.append(f"{what}: {found}")
        return good

    def compile(self, name, *options):
        subprocess.run([self.tool("hadal-compile"), MODEL, "--images=native",
                        "-o", self.file(name), *options], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, tool, artifact, *options):
        """|tool| on |artifact|, which may start processes over mpi."""
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1",
                           OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                           OMPI_MCA_rmaps_base_oversubscribe="1",
                           OMPI_MCA_hwloc_base_binding_policy="none")
        return subprocess.run(
            [self.tool(tool), self.file(artifact), "--weights", MODEL, "-q",
             *options], env=environment, capture_output=True, text=True,
            timeout=300)

    def finish(self):
        """Prints what failed; the exit status."""
        for failure in self.failures:
            print("FAIL", failure)
        print(f"{self.checks} checks, {len(self.failures)} failed")
        return 1 if self.failures or not self.checks else 0
