"""Runs hadal's tools so that nothing that was measured is lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """A step found something wrong."""


class Runner:
    """Runs commands until a deadline; all output goes to a log as well."""

    def __init__(self, out, seconds):
        self.out = out
        self.deadline = time.monotonic() + seconds
        self.log = open(os.path.join(out, "gpu.log"), "a")
        self.environment = dict(os.environ)

    def left(self):
        return self.deadline - time.monotonic()

    def call(self, *command, limit=300, stalled=None, progress=None):
        """Runs |command|: (exit status, stdout, stderr); status None if it ran
        past |limit| seconds or the deadline, or if |progress()| did not change
        for |stalled| seconds."""
        limit = min(limit, self.left())
        if limit < 1:
            return None, "", "no time is left"
        command = (shutil.which(command[0], path=self.environment["PATH"]) or
                   command[0], *command[1:])
        print("$", *command, file=self.log, flush=True)
        stem = os.path.join(self.out, "output")
        with open(stem + ".1", "w+") as out, open(stem + ".2", "w+") as err:
            process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                env=self.environment)
            begin = changed = time.monotonic()
            seen, status = None, None
            while True:
                try:
                    status = process.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    now = time.monotonic()
                if stalled and progress() != seen:
                    seen, changed = progress(), now
                if now - begin > limit or (stalled and now - changed > stalled):
                    process.send_signal(signal.SIGTERM)
                    try:
                        process.wait(timeout=5)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
                    break
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
            print(*texts, f"[{status}, {time.monotonic() - begin:.1f} s]",
                  sep="\n", file=self.log, flush=True)
        for number in "12":
            os.remove(f"{stem}.{number}")
        if status is None and not texts[1]:
            texts[1] = f"stopped after {time.monotonic() - begin:.0f} s"
        return status, *texts

    def succeed(self, *command, limit=300):
        """call() of a command that must succeed."""
        status, out, err = self.call(*command, limit=limit)
        if status != 0:
            raise Failed(f"{os.path.basename(command[0])}: exit status {status}: "
                         f"{last_line(err) or last_line(out)}")
        return status, out, err

    def checked(self, *command, limit=300):
        """stdout of a command that must succeed."""
        return self.succeed(*command, limit=limit)[1]

    def kernel_specs(self, artifact):
        """{name: spec} of the kernels of |artifact|."""
        text = self.checked(os.path.join(HERE, "bin/hadal-inspect"), artifact,
                            "--kernels", "--format", "json", limit=60)
        return {kernel["name"]: kernel["spec"]
                for kernel in json.loads(text)["kernels"]}

    def kernels(self, artifact, names, *flags, device="cuda", limit=300,
                stalled=60, keep=None):
        """hadal-bench --kernels over the kernels |names| of |artifact|: the
        rows, and {name: reason} of kernels that ended their process. After one
        that failed the others go on in a new process. |keep(rows)| sees the
        rows so far."""
        path = os.path.join(self.out, "kernels.json")
        end = time.monotonic() + min(limit, self.left())
        rows, broken, machine, left = [], {}, {}, list(names)

        def report():
            try:
                with open(path) as file:
                    return json.load(file)
            except (OSError, ValueError):
                return {}

        while left and time.monotonic() < end:
            if os.path.exists(path):
                os.remove(path)
            pattern = "^(" + "|".join(left) + ")$"
            status, _, err = self.call(
                os.path.join(HERE, "bin/hadal-bench"), artifact, "--device",
                device, f"--kernels={pattern}", "--json", path, *flags,
                limit=end - time.monotonic(), stalled=stalled,
                progress=lambda: os.path.getmtime(path)
                if os.path.exists(path) else None)
            found = report()
            machine = {key: found[key] for key in
                       ("device", "machine", "chip") if key in found} or machine
            done = found.get("kernels", [])
            rows += done
            names_done = {row["name"] for row in done}
            left = [name for name in left if name not in names_done]
            if keep:
                keep(rows)
            if not left or status == 0 or "H5016" in err:
                break
            # The one after the last row stopped it.
            broken[left[0]] = last_line(err) or f"exit status {status}"
            left = left[1:]
        for name in left:
            broken.setdefault(name, "not run: no time was left")
        return rows, broken, machine


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return re.sub(r"\s+", " ", lines[-1])[:400] if lines else ""
