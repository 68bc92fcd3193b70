"""Experts of four-bit codes, through the built tools.

    int4.py --bin build/bin [--work DIR] [--keep] [--only TEXT] [--threads N]

Small random models of Kimi K2's line whose experts, and in one of them every
linear layer but kv_b_proj, are compressed-tensors `pack-quantized`: in both forms
of attention with f32 activations, prompts and single steps, held against the
float64 oracle, whose weights are bf16((code - 8) * scale). The same tensors inside
a multi-modal checkpoint give the same bits. What is damaged or of another kind is
refused by name. One line a row, then `N passed, N failed`. Needs python3 and numpy.
"""

import json
import os
import subprocess

import compare
import formats
import make_configs
import numpy as np
import script
from metrics import one_minus_cos, relative_error

NAMES = list(make_configs.PACKED)
FORMS = ["absorbed", "expanded"]
PROMPT = 43
PREFIX = "language_model."


def ids_of(name):
    return make_configs.prompt_ids(name, PROMPT)


def bounds(got, want):
    distance, worst = one_minus_cos(got, want), relative_error(got, want).max()
    return (distance.max() < 1e-8 and worst < 1e-4,
            f"{compare.spread(distance)}, max error {worst:.1e}, {len(got)} positions")


class Packed:
    """The rows of one run of this script."""

    def __init__(self, tools, report):
        self.tools, self.report = tools, report
        self.expected = compare.Expected()

    # ------------------------------------------------------------- numerics

    def numerics(self, name):
        for form in FORMS:
            key = (name, form, "f32", None)
            self.report.row(f"{name} {form} prompt", lambda k=key: self.prompt(k, None))
        key = (name, "absorbed", "f32", None)
        # One row at a time: the forms of single steps; a batch: of few rows.
        self.report.row(f"{name} chunks of 1", lambda: self.prompt(key, 1))
        self.report.row(f"{name} batch", lambda: self.batch(key))
        self.report.row(f"{name} bf16", lambda: self.rounded(name))

    def prompt(self, key, chunk):
        ids = ids_of(key[0])
        want = self.expected.run(key[0], None, key[1], ids)["logits"]
        return bounds(self.tools.logits(key, [ids], chunk=chunk)[0], want)

    def batch(self, key):
        rows = [make_configs.prompt_ids(key[0], 11, i + 1) for i in range(6)]
        want = [self.expected.run(key[0], None, key[1], r)["logits"] for r in rows]
        return bounds(np.concatenate(self.tools.logits(key, rows)),
                      np.concatenate(want))

    def rounded(self, name):
        """bf16 activations, with the bounds of compare.py."""
        return compare.check_bf16(
            self.tools, self.expected, (name, "absorbed", "bf16", None))

    # ------------------------------------------------------------ vision input

    def image(self, name):
        """A token that stands for an image is refused, by a session and by the
        engine."""
        directory = self.wrapped(name)
        media = make_configs.find(name)[0]["vocab_size"] - 1
        for ends in (["--logits", "last", "--output", "none.npy"], ["-n", 1]):
            code, said = self.run_tool(
                "hadal-run", os.path.join(self.tools.work, "refused.hadal"), "--weights",
                directory, "--input-ids", f"0,5,{media},7", *ends)
            if code != 2 or "vision input is not supported: token 2 of " not in said:
                return False, f"status {code}: {said.strip()}"
        return True, "refused by name"

    # -------------------------------------------------- a multi-modal checkpoint

    def wrapped(self, name, change=None):
        """A directory of `name` inside a multi-modal model: its tensors under
        another prefix, and some of a vision tower."""
        config, _ = make_configs.find(name)
        tensors = {PREFIX + n: t for n, t in make_configs.make_tensors(name).items()}
        for part in ("vision_tower.patch_embed.proj.weight", "mm_projector.0.bias"):
            tensors[part] = ("BF16", np.zeros(4, np.uint16))
        text = dict(config, model_type="deepseek_v3", is_decoder=False, pruned_heads={})
        outer = dict(
            architectures=["KimiK25ForConditionalGeneration"], model_type="kimi_k25",
            text_config=text, vision_config=dict(model_type="a tower"),
            media_placeholder_token_id=config["vocab_size"] - 1,
            quantization_config=config["quantization_config"],
            bos_token_id=config["bos_token_id"], eos_token_id=config["eos_token_id"],
            tie_word_embeddings=False, use_unified_vision_chunk=True)
        if change:
            change(outer, tensors)
        directory = os.path.join(self.tools.work, name + "-wrapped")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "config.json"), "w") as file:
            json.dump(outer, file)
        formats.write_safetensors(os.path.join(directory, "model.safetensors"), tensors)
        return directory

    def run_tool(self, tool, *args):
        command = [os.path.join(self.tools.bin, tool), *map(str, args)]
        done = subprocess.run(command, capture_output=True, timeout=600)
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    def compile(self, directory, *args):
        path = os.path.join(self.tools.work, "refused.hadal")
        return self.run_tool(
            "hadal-compile", directory, "-o", path, "--target=cpu", "--images=native",
            "--max-batch-size=8", "--max-seq-len=512", "--decode-buckets=1,8",
            "--prefill-buckets=128", "--activations=f32", "--attention=absorbed", *args)

    def same_inside(self, name):
        directory = self.wrapped(name)
        code, said = self.compile(directory)
        if code:
            return False, said.strip().splitlines()[-1]
        line = "left out 2 tensors: 2 of vision parts (vision input is not supported)"
        if line not in said:
            return False, "says nothing of the vision parts"
        ids, path = ids_of(name), os.path.join(self.tools.work, "inside.npy")
        code, said = self.run_tool(
            "hadal-run", os.path.join(self.tools.work, "refused.hadal"), "--weights",
            directory, "--input-ids", ",".join(map(str, ids)), "--logits", "all",
            "--output", path, "-t", self.tools.threads)
        if code:
            return False, said.strip().splitlines()[-1]
        alone = self.tools.logits((name, "absorbed", "f32", None), [ids])[0]
        return np.array_equal(np.load(path), alone), "the bits of the text model alone"

    # ------------------------------------------------------------- refusals

    def refused(self, label, words, change, *args):
        def check():
            code, said = self.compile(self.wrapped("kimi-k2", change), *args)
            line = next((x for x in said.splitlines() if " error H" in x), "")
            return (code != 0 and all(word in line for word in words),
                    line or "was not refused")

        self.report.row(label, check)

    def refusals(self):
        stem = PREFIX + "model.layers.1.mlp.experts.3.up_proj."

        def replace(part, dtype, array):
            def change(_, tensors):
                tensors[stem + part] = (dtype, array)
            return change

        def drop(part):
            return lambda _, tensors: tensors.pop(stem + part)

        self.refused("no codes", ["H1007", stem + "weight_packed' is missing"],
                     drop("weight_packed"))
        self.refused("no scales", ["H1007", stem + "weight_scale' is missing"],
                     drop("weight_scale"))
        self.refused("no shape", ["H1007", stem, "_shape' is missing, expected [2]"],
                     drop("weight_shape"))
        self.refused(
            "another shape",
            ["H1009", stem + "weight_shape' holds [160, 248], expected [160, 256]"],
            replace("weight_shape", "I32", np.array([160, 248], np.int32)))
        self.refused(
            "a shape of another dtype",
            ["H1010", stem + "weight_shape' has dtype F32", ", expected I32 or I64"],
            replace("weight_shape", "F32", np.array([160, 256], np.float32)))
        self.refused(
            "codes of another shape",
            ["H1009", stem + "weight_packed' has shape [160, 31], expected [160, 32]"],
            replace("weight_packed", "I32", np.zeros((160, 31), np.int32)))
        self.refused(
            "scales of another dtype",
            ["H1010", stem + "weight_scale' has dtype F32, expected BF16"],
            replace("weight_scale", "F32", np.ones((160, 8), np.float32)))
        self.refused(
            "zero points", ["H1008", stem + "weight_zero_point' is not part"],
            replace("weight_zero_point", "I32", np.zeros((20, 8), np.int32)))

        def narrow(outer, _):
            outer["text_config"]["moe_intermediate_size"] = 144

        self.refused(
            "groups that are not whole",
            ["H1005", "has 144 columns, which are no whole groups of 32: "
             "its codes of four bits are not supported"], narrow)

        def packs_kv_b(outer, tensors):
            for c in (outer, outer["text_config"]):
                c["quantization_config"] = dict(
                    c["quantization_config"], ignore=["lm_head"])
            for layer in range(3):
                tensors.pop(f"{PREFIX}model.layers.{layer}.self_attn.kv_b_proj.weight")

        self.refused(
            "kv_b_proj",
            ["H1005", "kv_b_proj' has codes of four bits: supported are those of "
             "matrices that no other is multiplied with; expected it in "
             "'quantization_config.ignore'"], packs_kv_b)
        self.report.row("a shape of 64 bits", lambda: self.wide_shape())

    def wide_shape(self):
        def change(_, tensors):
            for name, (_, array) in list(tensors.items()):
                if name.endswith("weight_shape"):
                    tensors[name] = ("I64", array.astype(np.int64))

        code, said = self.compile(self.wrapped("kimi-k2", change))
        return code == 0, "compiles" if code == 0 else said.strip().splitlines()[-1]


def run(args, work, report):
    packed = Packed(compare.Tools(args.bin, work, args.threads), report)
    for name in NAMES:
        packed.numerics(name)
        report.row(f"{name} inside", lambda n=name: packed.same_inside(n))
    report.row("an image", lambda: packed.image(NAMES[-1]))
    packed.refusals()


if __name__ == "__main__":
    script.main("int4", run, script.THREADS)
