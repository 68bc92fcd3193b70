#!/usr/bin/env python3
"""The parts of test/gpu that a rehearsal does not reach: runs that die, tables
of DeepSeek-V3's kernels."""

import json
import os
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench
import tables

# A hadal-bench whose kernel "dies" ends the process and whose "hangs" hangs.
TOOL = '''#!{python}
import json, re, sys, time
if "--format" in sys.argv:
    print(json.dumps({{"kernels": [{{"name": n, "spec": {{}}}} for n in {names}]}}))
    sys.exit(0)
pattern = [a for a in sys.argv if a.startswith("--kernels=")][0][10:]
file = sys.argv[sys.argv.index("--json") + 1]
rows = []
for name in {names}:
    if not re.search(pattern, name):
        continue
    if name == "dies":
        sys.exit("error H5017: the device is lost")
    if name == "hangs":
        time.sleep(60)
    rows.append({{"name": name, "right": True, "relative_error": 0}})
    with open(file, "w") as out:
        json.dump({{"machine": {{"copy_by": "x"}}, "kernels": rows}}, out)
'''
NAMES = ["a", "dies", "b", "hangs", "c"]


class RunnerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        os.mkdir(os.path.join(self.folder.name, "bin"))
        for tool in ("hadal-bench", "hadal-inspect"):
            path = os.path.join(self.folder.name, "bin", tool)
            with open(path, "w") as file:
                file.write(TOOL.format(python=sys.executable, names=NAMES))
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        self.here, bench.HERE = bench.HERE, self.folder.name
        self.runner = bench.Runner(self.folder.name, 60)

    def tearDown(self):
        bench.HERE = self.here
        self.runner.log.close()
        self.folder.cleanup()

    def test_one_kernel_does_not_take_the_others_along(self):
        names = list(self.runner.kernel_specs("m"))
        self.assertEqual(names, NAMES)
        seen = []
        rows, broken, machine = self.runner.kernels(
            "m", names, stalled=1.5, keep=lambda rows: seen.append(len(rows)))
        self.assertEqual([row["name"] for row in rows], ["a", "b", "c"])
        self.assertEqual(broken["dies"], "error H5017: the device is lost")
        self.assertIn("stopped after", broken["hangs"])
        self.assertEqual(machine["machine"], {"copy_by": "x"})
        self.assertEqual(seen, [1, 2, 3])
        with open(os.path.join(self.folder.name, "gpu.log")) as log:
            self.assertIn("the device is lost", log.read())

    def test_what_no_time_is_left_for_is_said(self):
        rows, broken, _ = self.runner.kernels("m", ["hangs", "c"], limit=1.5)
        self.assertEqual(rows, [])
        self.assertIn("stopped after", broken["hangs"])
        self.assertIn("not run", broken["c"])

    def test_a_deadline_holds_for_every_command(self):
        runner = bench.Runner(self.folder.name, 1.5)
        status, _, err = runner.call("sleep", "30")
        self.assertIsNone(status)
        self.assertIn("stopped after", err)
        self.assertEqual(runner.call("true")[2], "no time is left")
        runner.log.close()

    def test_a_failure_is_one_line(self):
        with self.assertRaisesRegex(bench.Failed, "sh: exit status 3: why$"):
            self.runner.checked("sh", "-c", "echo x; echo why >&2; exit 3")


def row(name, entry, seconds, copy=0.5, floor=0.4, **others):
    return dict(name=name, entry=entry, seconds=seconds, share_of_copy=copy,
                share_of_floor=floor, share_of_bf16=0.1, right=True, bytes=1e9,
                flops=1e9, **others)


def gemm(n, k, rows, epilogue="none", experts=0):
    return dict(kind="gemm", n=n, k=k, rows=rows, epilogue=epilogue,
                experts=experts, quantized_input=True)


class TablesTest(unittest.TestCase):
    def test_shapes_are_found_by_spec(self):
        for spec, shape in (
                (gemm(2112, 7168, 64), (64, 2112, 7168)),
                (gemm(7168, 16384, 1), (1, 7168, 16384)),
                (gemm(24576, 1536, 4096, "rope"), (4096, 24576, 1536)),
                (gemm(18432, 7168, 128, "swiglu_quantize"), (128, 36864, 7168)),
                (gemm(7168, 2048, 64), (64, 7168, 2048)),
                # Grouped, another bucket, epilogue, number format and kind.
                (gemm(7168, 2048, 64, experts=256), None),
                (gemm(7168, 16384, 16), None),
                (gemm(7168, 18432, 64), None),
                (dict(gemm(7168, 2048, 64), quantized_input=False), None),
                ({"kind": "add", "width": 7168}, None), ({}, None)):
            self.assertEqual(tables.dense_gemm(spec), shape, spec)

    def test_verdicts(self):
        report = {"gpu": "H100", "date": "2026-01-01", "steps": {
            "times": {
                "result": "passed", "seconds": 1.0, "notes": ["a note"],
                "machine": {"copy_bytes_per_second": 3e12, "copy_by": "c",
                            "bf16_flops_per_second": 8e14, "bf16_by": "b"},
                "kernels": [
                    row("gemm_1", "decode_1", 60e-6, copy=0.61,
                        spec=gemm(7168, 16384, 1)),
                    row("gemm_64", "decode_64", 50e-6,
                        spec=gemm(7168, 16384, 64)),
                    row("gemm_128", "decode_128", 50e-6,
                        spec=gemm(7168, 16384, 128)),
                    row("mla_decode_x", "decode_128", 1e-3,
                        spec={"kind": "mla_decode"}),
                    row("norm_quant_x", "prefill_4096", 30e-6, copy=0.8,
                        spec={"kind": "norm_quant"}),
                    row("moe_combine_x", "prefill_4096", 30e-6, copy=0.7,
                        spec={"kind": "moe_combine"}),
                    {"name": "wrong", "entry": "decode_1", "right": False}],
                "peers": {"64,7168,16384": {"torch scaled_mm": 46e-6,
                                            "triton": "no triton"},
                          "128,7168,16384": {"torch scaled_mm": 40e-6,
                                             "triton": 70e-6}}},
            "slice": {"result": "passed", "seconds": 1.0, "runs": [
                {"batch": 16, "prefill": {"tokens_per_second": 1e4},
                 "decode": {"tokens_per_second": 2e3,
                            "median_step_seconds": 8e-3}}]}}}
        text = "\n".join(tables.tables(json.loads(json.dumps(report))))
        for line in (
                "| 1 | 7168 | 16384 | 60.0 | - | - | - | 0.61 | 0.40 | yes |",
                "| 64 | 7168 | 16384 | 50.0 | 46.0 | 0.92 | - | 0.50 | 0.40 | yes |",
                "| 128 | 7168 | 16384 | 50.0 | 40.0 | 0.80 | 70.0 | 0.50 | 0.40 "
                "| NO |",
                "not timed: no triton",
                "| mla_decode_x | decode_128 | 1000.0 | 333.3 | 3.00 | NO |",
                "| norm_quant_x | prefill_4096 | 30.0 | 0.80 | yes |",
                "| moe_combine_x | prefill_4096 | 30.0 | 0.70 | NO |",
                "| 16 | 10000 | 2000.0 | 8000.0 |", "  a note",
                "copy 3000 GB/s (c); bf16 800 TFLOP/s (b)"):
            self.assertIn(line, text)

    def test_an_empty_report_has_a_table(self):
        self.assertTrue(tables.tables({"steps": {"times": {}, "check": {}}}))


if __name__ == "__main__":
    unittest.main()
