#!/usr/bin/env python3
"""`--plan-only` prints what the compilation with the same options prints, to the
byte: weights, cache, states, arenas, scratch and workspaces.

plan_matches_compile.py HADAL_COMPILE SOURCE_DIR WORK_DIR [--quick]

For both targets: option sets over configurations made from models/deepseek-v3
(20 of them; with --quick a few, on models/tiny). The compilation takes one image
on the CPU and PTX alone on sm_90a; kernels that sets share come from a cache.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

TARGETS = {"cpu": ["--images=native"], "sm_90a": ["--ptxas=none"]}


def report(text):
    """The memory plan in |text|: its title and its indented lines."""
    match = re.search(r"^memory plan:\n(?:  .*\n)+", text, re.M)
    return match[0] if match else ""


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout, done.stderr


def compare(hadal, model, target, options, work):
    """Returns the bytes of workspace and scratch that both name."""
    common = [hadal, str(model), f"--target={target}", *options]
    planned = report(run(common + ["--plan-only"])[0])
    artifact = work / "a.hadal"
    made = report(run(common + TARGETS[target] +
                      ["-o", str(artifact), f"--kernel-cache={work}/cache"])[1])
    artifact.unlink()
    if not planned or planned != made:
        sys.exit(f"{' '.join(common)}\n--plan-only says\n{planned}\n"
                 f"the compilation says\n{made}")
    needs = re.search(r"(?:workspace of split kernels|scratch, each thread)"
                      r".*\((\d+) bytes\)", planned)
    return int(needs[1]) if needs else 0


def v3_like(source, work, **changes):
    """A configuration of V3's widths with few layers and experts."""
    config = json.loads((source / "models/deepseek-v3/config.json").read_text())
    config.update(num_hidden_layers=2, first_k_dense_replace=1,
                  num_nextn_predict_layers=0)
    config.update(changes)
    folder = work / ("_".join(f"{k}{v}" for k, v in changes.items()) or "v3")
    folder.mkdir(exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def sets(source, work, quick):
    """Yields (model, options)."""
    if quick:
        tiny = source / "models/tiny"
        yield tiny, ["--max-batch-size=1", "--decode-buckets=1",
                     "--prefill-buckets=16"]
        yield tiny, ["--max-batch-size=4", "--decode-buckets=4",
                     "--prefill-buckets=64", "--max-seq-len=512",
                     "--attention=absorbed"]
        return
    v3 = v3_like(source, work)
    for batch in (1, 4, 16, 64):
        for length in (512, 4096):
            yield v3, [f"--max-batch-size={batch}", f"--decode-buckets={batch}",
                       "--prefill-buckets=64", f"--max-seq-len={length}"]
    for bucket in (128, 512, 1024):
        yield v3, ["--max-batch-size=1", "--decode-buckets=1",
                   f"--prefill-buckets={bucket}"]
    for form in ("absorbed", "expanded"):
        yield v3, ["--max-batch-size=2", "--decode-buckets=2",
                   "--prefill-buckets=64,256", f"--attention={form}"]
    few = ["--max-batch-size=2", "--decode-buckets=1,2", "--prefill-buckets=32"]
    for heads in (16, 20, 64):
        yield v3_like(source, work, num_attention_heads=heads,
                      num_key_value_heads=heads), few
    for hidden in (2048, 4096):
        yield v3_like(source, work, hidden_size=hidden), few
    yield v3_like(source, work, n_routed_experts=64, n_group=8), few
    yield v3_like(source, work, q_lora_rank=None), few


def main():
    hadal, source, work = sys.argv[1], *map(pathlib.Path, sys.argv[2:4])
    quick = "--quick" in sys.argv
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    count = 0
    needs = dict.fromkeys(TARGETS, 0)
    for model, options in sets(source, work, quick):
        count += 1
        for target in TARGETS:
            needs[target] += compare(hadal, model, target, options, work) > 0
    shutil.rmtree(work)
    # Equal because nothing was counted would be no answer.
    if not all(needs.values()):
        sys.exit(f"no set needs memory of its kernels: {needs}")
    print(f"{count} option sets, {len(TARGETS)} targets: equal to the byte; "
          f"with memory of kernels: {needs}")


if __name__ == "__main__":
    main()
