#!/usr/bin/env python3
"""Edits words of schedules in a dump of phase lower and resumes from it.

    edited_words.py HADAL_COMPILE HADAL_INSPECT MODEL WORKDIR

The code of the edited kernel must follow and hadal-inspect must call the word an
edit; the code of every other kernel must stay. An illegal value and an unknown
word must be refused by the kernel's name with exit status 2, and so must a word
that shapes the body once memory has been planned.
"""
import json
import pathlib
import re
import subprocess
import sys

# kernel, word, value in the file.
EDITS = [
    (r"gemm_\w*_r64\w*", "bm", 128),
    (r"gemm_\w*_r64\w*", "bn", 64),
    (r"gemm_\w*_r64\w*", "stages", 2),
    (r"gemm_\w*_r64\w*", "early", 1),
    (r"gemm_\w*_r64\w*", "split", 2),
    (r"gemm_\w*_r64\w*", "swap_ab", "true"),
    (r"gemm_\w*_r1\b\w*", "ctas", 1),
    (r"absorb_v_\w*_r64\w*", "bk", 64),
    (r"mla_decode_\w+", "stages", 3),
    (r"mla_decode_\w+", "warpgroups", 1),
    (r"mla_decode_\w+", "chunk", 128),
    (r"norm_quant_\w+", "threads", 64),
    (r"moe_combine_\w+", "columns", 128),
]
# Words that follow from the edited one: they are set too.
WITH = {
    "bm": {"warpgroups": 2, "regs": '"40/232"', "stages": 2, "early": 0,
           "split": 1, "unroll": 1},
    "bn": {"stages": 2, "early": 0, "split": 1, "unroll": 1},
    "stages": {"early": 0},
    "split": {"unroll": 1},
    "swap_ab": {"warpgroups": 2, "regs": '"40/232"', "stages": 2, "early": 0,
                "split": 1, "unroll": 1},
    "warpgroups": {"regs": '"launch"'},
    "bk": {"stages": 2, "early": 0, "split": 1, "unroll": 1},
}


def set_word(line, word, value):
    """The kernel's line with the word set, if it has it."""
    if isinstance(value, int):
        value = f"{value} : i64"
    return re.sub(rf"(schedule {{[^}}]*\b{word} = )[^,}}]*", rf"\g<1>{value}",
                  line, count=1)


class Run:
    def __init__(self, compiler, inspector, work):
        self.compiler, self.inspector, self.work = compiler, inspector, work

    def compile(self, source, phase, output):
        return subprocess.run(
            [self.compiler, source, f"--compile-from={phase}", "--ptxas=none",
             f"--kernel-cache={self.work / 'cache'}", "-o", output],
            text=True, capture_output=True)

    def kernels(self, artifact):
        text = subprocess.run(
            [self.inspector, artifact, "--kernels", "--format", "json"],
            text=True, capture_output=True, check=True).stdout
        return {k["name"]: k for k in json.loads(text)["kernels"]}

    def ptx(self, artifact, kernel):
        return subprocess.run([self.inspector, artifact, "--ptx", kernel],
                              text=True, capture_output=True, check=True).stdout


def main():
    compiler, inspector, model, work = sys.argv[1:5]
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    run = Run(compiler, inspector, work)
    base = work / "base.hadal"
    subprocess.run(
        [compiler, model, "--target=sm_90a", "--max-batch-size", "1",
         "--decode-buckets", "1", "--prefill-buckets", "64",
         "--attention=absorbed", "--ptxas=none",
         f"--kernel-cache={work / 'cache'}", "--dump-phases-to", work / "dump",
         "-o", base], check=True, capture_output=True)
    source = (work / "dump" / "9-lower.mlir").read_text()
    before = run.kernels(base)
    code = {name: run.ptx(base, name) for name in before}
    problems = []

    def check(ok, what):
        if not ok:
            problems.append(what)
            print("FAIL", what)

    def edit(text, name, words):
        lines = text.split("\n")
        at = next(i for i, line in enumerate(lines)
                  if f"tile.kernel @{name}(" in line)
        for word, value in words.items():
            lines[at] = set_word(lines[at], word, value)
        return "\n".join(lines)

    for pattern, word, value in EDITS:
        # The first kernel whose legal values take the edit.
        names = [n for n in sorted(before) if re.fullmatch(pattern, n)
                 and f"{word}={value} " not in before[n]["schedule"] + " "]
        check(names, f"no kernel for {pattern} {word}={value}")
        found, last = False, ""
        for name in names:
            changed = edit(source, name, {word: value, **WITH.get(word, {})})
            path = work / "edited.mlir"
            path.write_text(changed)
            output = work / "edited.hadal"
            result = run.compile(path, "lower", output)
            last = result.stderr
            if result.returncode:
                continue
            after = run.kernels(output)
            found = True
            check(f"{word}={value}(edit)" in after[name]["schedule"],
                  f"{name} {word}: shown as {after[name]['schedule']}")
            for other in after:
                same = run.ptx(output, other) == code[other]
                check(same == (other != name),
                      f"{name} {word}={value}: the code of {other} "
                      f"{'stays' if same else 'changes'}")
            print(f"{name}: {word}={value}")
            break
        check(found, f"{pattern} {word}={value}: {last}")

    name = next(n for n in sorted(before) if re.fullmatch(r"gemm_\w*_r64\w*", n))
    for words, parts in [
            ({"stages": 77}, [f"kernel '{name}'", "the word 'stages' is 77",
                              "legal values: "]),
            ({"regs": '"fast"'}, [f"kernel '{name}'", "'regs' is fast"])]:
        path = work / "illegal.mlir"
        path.write_text(edit(source, name, words))
        result = run.compile(path, "lower", work / "illegal.hadal")
        check(result.returncode == 2, f"{words}: exit {result.returncode}")
        for part in ["H3008"] + parts:
            check(part in result.stderr, f"{words}: no {part}: {result.stderr}")
    path.write_text(re.sub(rf"(tile.kernel @{name}\(.* schedule {{)",
                           r"\g<1>hyper = 1 : i64, ", source, count=1))
    result = run.compile(path, "lower", work / "illegal.hadal")
    check(result.returncode == 2 and "no word 'hyper'" in result.stderr
          and "words of this kernel: " in result.stderr,
          f"unknown word: {result.returncode} {result.stderr}")

    planned = (work / "dump" / "10-plan.mlir").read_text()
    path.write_text(edit(planned, name, {"bn": 64, "stages": 2, "early": 0,
                                         "split": 1, "unroll": 1}))
    result = run.compile(path, "plan", work / "illegal.hadal")
    check(result.returncode == 2 and "its body has other tiles than its schedule "
          "says; words that shape a body can be edited up to phase lower"
          in result.stderr, f"planned: {result.returncode} {result.stderr}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
