#!/usr/bin/env python3
"""Where the time of a run goes: hadal-bench --ranks, --trace and hadal-run --profile.

models/tiny on 2 ranks whose collectives take a given time: what the event model
predicts beside what was measured (step within 10 %, exposed time within 15 % or 3 %
of the step); the trace of both ranks nests, names operations and ties collectives;
over mpi (where there is mpirun) the clocks of processes are aligned. The profile of
one rank changes no text and takes at most 40 lines.

  bench_ranks.py --bin DIR
"""
import argparse
import collections
import json
import shutil
import sys
import tempfile

from tiny import TinyTest

LABELS = {"dispatch", "return"}


class Test(TinyTest):
    def bench(self, *options):
        """hadal-bench on two ranks; its output and report, if it succeeded."""
        report = self.file("report.json")
        result = self.run("hadal-bench", "two.hadal", "--ranks", "2",
                          "--batch", "2", "--prompt-len", "16", "--gen-len", "16",
                          "--json", report, *options)
        if not self.check(f"hadal-bench {' '.join(options)}",
                          result.returncode == 0, result.stderr):
            return result.stdout, None
        with open(report, encoding="utf-8") as file:
            return result.stdout, json.load(file)

    # ---- predicted and measured

    @staticmethod
    def is_as_predicted(entry):
        step = entry["measured"]["step_us"]
        exposed = entry["measured"]["exposed_us"]
        predicted = entry["predicted"]
        return (abs(predicted["step_us"] - step) <= 0.1 * step and
                abs(predicted["exposed_us"] - exposed) <=
                max(0.15 * exposed, 0.03 * step))

    def prediction(self, delay_us):
        """Other processes can only add: of some tries, one is as predicted."""
        found = []
        for _ in range(5):
            text, report = self.bench("--comm-delay", str(delay_us))
            if report is None:
                return
            entries = {e["name"]: e for e in report["runs"][0]["entries"]}
            decode = next(e for name, e in entries.items()
                          if name.startswith("decode"))
            self.check("labels", set(decode["collectives"]) == LABELS,
                       decode["collectives"].keys())
            self.check("ranks", len(decode["ranks"]) == 2, decode["ranks"])
            for label in LABELS:
                self.check(f"{label} in the table", f"x {label}" in text, text)
            # A delay is a link's latency.
            for name, link in decode["links"].items():
                self.check(f"link of {name}",
                           delay_us <= link["alpha_us"] <= delay_us + 20000, link)
            found.append((decode["predicted"], decode["measured"]))
            if self.is_as_predicted(decode):
                predicted, measured = found[-1]
                print(f"{delay_us} us a collective: step predicted "
                      f"{predicted['step_us']:.0f}, measured "
                      f"{measured['step_us']:.0f} us; exposed predicted "
                      f"{predicted['exposed_us']:.0f}, measured "
                      f"{measured['exposed_us']:.0f} us")
                return
        self.check(f"prediction at {delay_us} us", False, found)

    # ---- traces

    def spans(self, path, ranks):
        """The X events by track and category, checked to nest."""
        with open(path, encoding="utf-8") as file:
            trace = json.load(file)
        tracks = collections.defaultdict(list)
        for event in trace["traceEvents"]:
            if event["ph"] == "X":
                tracks[event["pid"], event["tid"]].append(event)
        self.check("tracks", {pid for pid, _ in tracks} == set(range(ranks)),
                   tracks.keys())
        for track, events in tracks.items():
            events.sort(key=lambda e: (e["ts"], -e["dur"]))
            open_ends = []
            for event in events:
                end = event["ts"] + event["dur"]
                while open_ends and open_ends[-1] <= event["ts"] + 1e-3:
                    open_ends.pop()
                if open_ends and end > open_ends[-1] + 2e-3:
                    self.check(f"nesting on {track}", False, event)
                    break
                open_ends.append(end)
        return trace, tracks

    def trace(self, *options):
        path = self.file("trace.json")
        text, report = self.bench("--trace", path, "--profile-steps", "6",
                                  *options)
        if report is None:
            return
        trace, tracks = self.spans(path, 2)
        by_rank = []
        for rank in (0, 1):
            events = tracks[rank, 0]
            entries = [e for e in events if e["cat"] == "entry"]
            decodes = [e for e in entries if e["name"].startswith("decode")]
            self.check("decode runs", len(decodes) == 6, len(decodes))
            last = decodes[-1]
            inside = [e for e in events if e["cat"] in ("launch", "wait") and
                      last["ts"] <= e["ts"] < last["ts"] + last["dur"]]
            by_rank.append([(e["name"], e["args"]["layer"]) for e in inside])
            busy = sum(e["dur"] for e in inside)
            self.check("sum of launches and waits", 0 < busy <=
                       last["dur"] + 0.01, (busy, last["dur"]))
            names = {e["name"] for e in inside}
            self.check("operations", any(name.startswith("moe_layer.") for name in
                                         names), names)
            self.check("waits", {"wait for " + label for label in LABELS} <= names,
                       names)
        self.check("both ranks run the same", by_rank[0] == by_rank[1],
                   by_rank)
        # A collective ends on no rank before it has begun on each.
        error = float(trace["otherData"]["clock_error_us"])
        self.check("clock error", error < 20000, error)
        flows = collections.defaultdict(list)
        for event in trace["traceEvents"]:
            if event["ph"] in "stf":
                flows[event["id"]].append(event)
        collectives = sum(e["cat"] == "collective" for e in tracks[0, 1])
        self.check("flows", len(flows) == collectives > 0,
                   (len(flows), collectives))
        ends = {(pid, e["ts"]): e["ts"] + e["dur"]
                for (pid, tid), events in tracks.items() if tid == 1
                for e in events}
        for flow in flows.values():
            self.check("flow", [e["ph"] for e in flow] == ["s", "f"] and
                       {e["pid"] for e in flow} == {0, 1}, flow)
            begun = max(e["ts"] for e in flow)
            first_end = min(ends[e["pid"], e["ts"]] for e in flow)
            if begun > first_end + 2 * error + 1:
                self.check("clocks", False, (begun, first_end, error))
                break
        return text

    # ---- one rank

    def one_rank(self):
        options = ["-n", "24", "-p", "Once upon"]
        plain = self.run("hadal-run", "one.hadal", *options)
        path = self.file("one.json")
        profiled = self.run("hadal-run", "one.hadal", "--profile", path, *options)
        self.check("hadal-run --profile", profiled.returncode == 0,
                   profiled.stderr)
        self.check("text", plain.stdout == profiled.stdout, profiled.stdout)
        lines = profiled.stderr.splitlines()
        self.check("summary", 10 < len(lines) <= 40 and
                   lines[0].startswith("profile of ") and "of read" in
                   profiled.stderr, profiled.stderr)
        _, tracks = self.spans(path, 1)
        decodes = [e for e in tracks[0, 0] if e["name"] == "decode_1"]
        self.check("kept runs", len(decodes) == 10, len(decodes))
        self.check("no collectives", (0, 1) not in tracks, tracks.keys())
        bench = self.run("hadal-bench", "one.hadal", "--batch", "1",
                         "--prompt-len", "16", "--gen-len", "8", "--profile")
        self.check("hadal-bench --profile", bench.returncode == 0 and
                   "profile of " in bench.stdout and "GFLOP/s" in bench.stdout,
                   bench.stdout + bench.stderr)
        refused = self.run("hadal-bench", "one.hadal", "--cluster", "c.json")
        self.check("--cluster of one rank", refused.returncode == 2 and
                   "H5011" in refused.stderr, refused.stderr)

    def cluster(self):
        """Links from a file: what it says is what is predicted."""
        links = {"links": {label: {"alpha_us": 3000, "gb_per_s": 1000,
                                   "moves": "rows"} for label in LABELS}}
        path = self.file("cluster.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(links, file)
        _, report = self.bench("--cluster", path)
        if report is None:
            return
        decode = next(e for e in report["runs"][0]["entries"]
                      if e["name"].startswith("decode"))
        for label in LABELS:
            c = decode["collectives"][label]
            # The shared expert hides a part of dispatch, nothing hides return.
            self.check(f"{label} over the file's link",
                       c["predicted_exposed_us"] <= c["per_run"] * 3010 and
                       (label == "dispatch" or
                        c["predicted_exposed_us"] >= c["per_run"] * 3000), c)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hadal-bench-") as directory:
        test = Test(args.bin, directory)
        test.compile("one.hadal")
        test.compile("two.hadal", "--dp", "2")
        test.one_rank()
        for delay_us in (2000, 10000):
            test.prediction(delay_us)
        test.cluster()
        print(test.trace() or "")
        if shutil.which("mpirun"):
            print(test.trace("--comm", "mpi") or "")
        else:
            print("no mpirun: ranks as processes are left out")
    return test.finish()


if __name__ == "__main__":
    sys.exit(main())
