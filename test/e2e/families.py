"""The models of the family beside V2 and V3, through the built tools.

    families.py --bin build/bin [--work DIR] [--keep] [--only TEXT] [--threads N]

Small random models of GigaChat 3, Moonlight, GLM-4.7-Flash, Youtu-LLM,
DeepSeek-V3.2 and GLM-5, in both forms of attention with f32 activations, held
against the golden files (transformers in float32) and the float64 oracle with
the bounds of compare.py, and the two forms against each other. Then what is
special to one of them: blocks of FP8 scales that span W_UK and W_UV, layer 61 of
64, an indexer that is left out and how far, which of its tensors must be there.
One line a row, then `N passed, N failed`. Needs python3 and numpy.
"""

import os
import shutil
import subprocess

import compare
import formats
import make_configs
import numpy as np
import script
from metrics import one_minus_cos

F32 = ["gigachat", "moonlight", "glm-flash", "glm-flash-eps", "youtu", "v32",
       "glm5", "deep"]
FP8 = ["gigachat-fp8", "glm-flash-fp8"]
FORMS = ["absorbed", "expanded"]


class Family:
    """The rows of one run of this script."""

    def __init__(self, tools, report):
        self.tools, self.report = tools, report
        self.expected = compare.Expected()

    def numerics(self, name):
        quantized = name in FP8
        keys = [(name, form, "f32", "w8a16" if quantized else None)
                for form in FORMS]
        for key in keys:
            label = f"{name} {key[1]} f32"
            self.report.row(f"{label} transformers",
                            lambda k=key: compare.check_golden(self.tools, k))
            self.report.row(f"{label} oracle", lambda k=key: compare.check_f32(
                self.tools, self.expected, k))
            self.report.row(f"{label} greedy",
                            lambda k=key: compare.check_greedy(self.tools, k))
        self.report.row(f"{name} forms", lambda: self.check_forms(keys))

    def check_forms(self, keys):
        ids = compare.golden(keys[0][0])["ids"].tolist()
        one, other = [self.tools.logits(key, [ids])[0] for key in keys]
        distance = one_minus_cos(one, other).max()
        return distance < 1e-8, f"1-cos {distance:.1e} between the two forms"

    # ---------------------------------------------------- tensors in the files

    def changed(self, name, folder, change):
        """Returns a copy of model `name` whose tensors went through change."""
        directory = os.path.join(self.tools.work, folder)
        shutil.copytree(self.tools.model(name), directory)
        path = os.path.join(directory, "model.safetensors")
        tensors = formats.read_safetensors(path)
        change(tensors)
        formats.write_safetensors(path, tensors)
        return directory

    def compile(self, directory, length):
        """Compiles `directory`; returns (status, stderr)."""
        done = subprocess.run(
            [os.path.join(self.tools.bin, "hadal-compile"), directory, "-o",
             directory + ".hadal", "--max-seq-len", str(length),
             "--max-batch-size=1", "--decode-buckets=1", "--prefill-buckets=64",
             "--activations=f32", "--images=native"], capture_output=True, timeout=600)
        return done.returncode, done.stderr.decode()

    def refused(self, label, words, directory, length=32):
        """A row that holds where compiling ends with status 3 and says `words`."""
        def check():
            status, text = self.compile(directory(), length)
            first = next((line for line in text.splitlines() if "error" in line), "")
            return status == 3 and all(w in text for w in words), first
        self.report.row(label, check)

    def said(self, label, line, directory, length=32):
        """A row that holds where compiling succeeds and prints `line`."""
        def check():
            status, text = self.compile(directory(), length)
            return status == 0 and line in text.splitlines(), line
        self.report.row(label, check)

    def deep(self):
        """Layer 61 counts, layer 64 does not."""
        self.said("deep skipped tensors", "hadal-compile: left out 42 tensors: 42 of "
                  "multi-token prediction layers",
                  lambda: self.tools.model("deep"))

        def without(layer):
            def change(tensors):
                for part in ("self_attn.o_proj", "mlp.down_proj"):
                    name = f"model.layers.{layer}.{part}.weight"
                    dtype, array = tensors[name]
                    tensors[name] = dtype, np.zeros_like(array)
            return change

        def check():
            key = ("deep", "absorbed", "f32", None)
            ids = make_configs.prompt_ids("deep", 12)
            base = self.tools.logits(key, [ids])[0]
            directory = self.changed("deep", "deep-61", without(61))
            other = self.tools.logits(key, [ids], weights=directory)[0]
            distance = one_minus_cos(base, other).min()
            return distance > 1e-4, f"1-cos {distance:.1e} without layer 61"

        self.report.row("deep layer 61 counts", check)

    # ---------------------------------------------------- the indexer

    def indexer(self):
        data = compare.golden("v32-short")
        ids, want = data["ids"].tolist(), data["logits"]
        topk = len(ids) - 1
        for form in FORMS:
            key = ("v32-short", form, "f32", None)

            def check(key=key):
                got = self.tools.logits(key, [ids[:topk]])[0]
                distance = one_minus_cos(got, want[:topk]).max()
                return distance < 1e-8, f"1-cos {distance:.1e} at {topk} tokens"

            self.report.row(f"v32-short {form} index_topk tokens", check)
        model = lambda: self.tools.model("v32-short")
        self.said("v32-short skipped tensors", "hadal-compile: left out 10 tensors: 10 "
                  "of sparse attention indexers", model)
        self.refused("v32-short compiled for one token more", [
            "H1005", "the sparse attention indexer is not supported; up to "
            f"'index_topk' {topk} tokens", f"--max-seq-len={topk} or less, found "
            f"{topk + 1}"], model, topk + 1)

        def run(*extra):
            done = subprocess.run(
                [os.path.join(self.tools.bin, "hadal-run"),
                 self.tools.artifact("v32-short", "absorbed", "f32"), "--weights",
                 model(), *extra], capture_output=True, timeout=600)
            return done.returncode, done.stderr.decode().strip()

        def joined(count):
            return ",".join(map(str, ids[:count]))

        def too_long():
            status, text = run("--input-ids", joined(topk + 1), "-n", "1")
            return status == 2 and "H5005" in text, text.splitlines()[-1]

        # The last token is chosen by the row of the one before it.
        def ends(asked, generated, cut):
            def check():
                status, text = run("--input-ids", joined(topk - 3), "-n", str(asked),
                                   "--ignore-eos")
                said = "prompt 0 ends short of its -n" in text
                return (status == 0 and said == cut
                        and f"generated {generated} tokens" in text,
                        f"{generated} of {asked} tokens after {topk - 3}")
            return check

        self.report.row("v32-short prompt of one token more", too_long)
        self.report.row("v32-short answer up to index_topk", ends(4, 4, False))
        self.report.row("v32-short answer beyond index_topk", ends(5, 4, True))
        wk = "model.layers.1.self_attn.indexer.wk.weight"
        self.refused("v32-short without wk", ["H1007", wk, "has an indexer of its own"],
                     lambda: self.changed("v32-short", "no-wk", lambda t: t.pop(wk)))
        shared = "model.layers.2.self_attn.indexer.wk.weight"
        self.refused(
            "glm5 shared layer with wk", ["H1008", shared],
            lambda: self.changed("glm5", "shared-wk", lambda t: t.update(
                {shared: t[wk]})))


def run(args, work, report):
    family = Family(compare.Tools(args.bin, work, args.threads), report)
    for name in F32 + FP8:
        family.numerics(name)
    family.deep()
    family.indexer()


if __name__ == "__main__":
    script.main("families", run, script.THREADS)
