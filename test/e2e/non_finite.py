"""Puts NaN and infinities into every kind of tensor and looks at the answer.

    non_finite.py --bin build/bin [--device cpu|sim] [--only TEXT] [--quick]
                  [--transformers]

For each model and mode below, each kind of tensor and each of NaN, inf and -inf
(an FP8 code has NaN alone): one element of the checkpoint is replaced, and the
logits of prompts are asked for. Where the float64 oracle, which treats such
values as torch does, has a logit that is not finite, hadal must refuse the
tensor at load (H5004) or the logits (H5008); both name tensor and element. Where the oracle's
logits are finite and the activations are f32, hadal must give them or refuse;
an infinite router weight is such a case. --transformers holds the oracle's
verdict against the installed transformers (torch, float32) instead of running
hadal. --quick takes every second mode, and one tensor of each kind; on the
simulator NaN alone. Prints a line for each failure, a count for each mode, and ends with
status 1 if there was a failure. Needs python3 and numpy.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import make_configs
import numpy as np
from metrics import one_minus_cos
from oracle import Oracle

formats = make_configs.formats

# model, compile options, the oracle's mode
MODES = {
    "cpu": [
        ("v3", ("--activations=f32", "--attention=absorbed"), {}),
        ("v3", ("--activations=f32", "--attention=expanded"), {}),
        ("v2-groups", ("--activations=f32",), {}),
        ("v3", ("--activations=bf16",), {}),
        ("v3-fp8", ("--activations=f32", "--fp8=w8a16"), {}),
        ("v3-odd-fp8", ("--activations=bf16", "--fp8=w8a8"), {"fp8": "w8a8"}),
        ("v3.1-fp8", ("--activations=f32", "--fp8=w8a8"), {"fp8": "w8a8"}),
    ],
    "sim": [
        ("layer-moe-fp8", (), {"fp8": "w8a8", "bf16_kv_b": True}),
        ("layer-ue8m0-fp8", (), {"fp8": "w8a8", "bf16_kv_b": True}),
    ],
}
VALUES = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
# Kinds of tensors by the end of their name; E is an expert that the prompt uses.
KINDS = [
    "embed_tokens.weight", "input_layernorm.weight", "self_attn.q_proj.weight",
    "self_attn.q_a_proj.weight", "self_attn.q_a_layernorm.weight",
    "self_attn.q_b_proj.weight", "self_attn.kv_a_proj_with_mqa.weight",
    "self_attn.kv_a_layernorm.weight", "self_attn.kv_b_proj.weight",
    "self_attn.o_proj.weight", "post_attention_layernorm.weight",
    "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
    "mlp.gate.weight", "mlp.gate.e_score_correction_bias",
    "experts.E.gate_proj.weight", "experts.E.up_proj.weight",
    "experts.E.down_proj.weight", "shared_experts.gate_proj.weight",
    "shared_experts.down_proj.weight", "model.norm.weight", "lm_head.weight",
    "self_attn.kv_a_proj_with_mqa.weight_scale_inv",
    "self_attn.kv_b_proj.weight_scale_inv",
    "experts.E.down_proj.weight_scale_inv",
]
# Read whole when weights are loaded: always refused by name.
SCANNED = ("norm.weight", "mlp.gate.weight", "bias", "_scale_inv")
LENGTHS = (1, 12)


class Spoiler:
    """A checkpoint on disk in which one element at a time is replaced."""

    def __init__(self, name, work):
        self.directory = make_configs.write(name, work)
        self.path = os.path.join(self.directory, "model.safetensors")
        self.config, tensors = formats.read_checkpoint(self.directory)
        self.tensors = {n: (d, np.array(a)) for n, (d, a) in tensors.items()}
        with open(self.path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        self.begins = {n: 8 + size + e["data_offsets"][0]
                       for n, e in header.items() if n != "__metadata__"}

    def put(self, name, element, bits):
        """Replaces the bits of an element; returns those it had."""
        flat = self.tensors[name][1].reshape(-1)
        flat = flat.view(f"u{flat.itemsize}")
        old, flat[element] = flat[element].copy(), bits
        with open(self.path, "r+b") as file:
            file.seek(self.begins[name] + int(element) * flat.itemsize)
            file.write(flat[element].tobytes())
        return old

    def bits(self, name, value):
        """The bits of `value` in the tensor's dtype, or None if it has none."""
        dtype = self.tensors[name][0]
        if dtype == "F8_E4M3":
            return {"nan": 0x7F, "-inf": 0xFF}.get(value)  # NaN of either sign
        single = int(np.array(VALUES[value], np.float32).view(np.uint32))
        return single if dtype == "F32" else single >> 16


def names_of(spoiler, kind, expert):
    """The tensors of a kind: those of the first and of the last layer."""
    ending = kind.replace("E", str(expert), 1) if ".E." in kind else kind
    names = [n for n in spoiler.tensors if n.endswith(ending)
             and (".E." in kind or ".experts." not in n)
             and ("shared" in kind) == ("shared" in n)]
    return sorted({names[0], names[-1]}) if names else []


def cases(spoiler, ids, clean, quick, values):
    """(tensor, element, value, bits) of everything that is tried."""
    rng = formats.Random(7)
    # An expert that many rows of every MoE layer use.
    loads = sum(clean["loads"])
    expert = int(np.argmax(loads)) if len(clean["loads"]) else 0
    for kind in KINDS:
        for name in names_of(spoiler, kind, expert)[-1 if quick else 0 :]:
            array = spoiler.tensors[name][1]
            for value in values:
                bits = spoiler.bits(name, value)
                if bits is None:
                    continue
                element = rng.integers(1, 0, array.size)[0]
                if kind == "embed_tokens.weight":  # a row that is read
                    element = ids[-1] * array.shape[1] + element % array.shape[1]
                yield name, element, value, bits


def oracle_of(spoiler, ids, mode):
    with np.errstate(all="ignore"):
        oracle = Oracle(spoiler.config, spoiler.tensors, **mode)
        return oracle.run(ids)


def verdict(done, path, want, name, element, scanned, compare):
    """What is wrong with a finished run, or None."""
    text = done.stderr.decode(errors="replace")
    finite = np.isfinite(want).all()
    if done.returncode == 0:
        if not finite:
            return "a plausible answer"
        if scanned:
            return "a tensor that is read at load was not refused"
        got = np.load(path)
        worst = one_minus_cos(got, want).max()
        if compare and worst > 1e-6:
            return f"1 - cos {worst:.1e} where the oracle is finite"
        return None
    outcome = (re.findall(r"\bH\d{4}\b", text), done.returncode)
    if outcome != ((["H5004"], 3) if scanned else (["H5008"], 1)):
        return f"status {done.returncode}: {text.strip()[-200:]}"
    if name not in text or f"element {element}" not in text:
        return f"does not name {name} element {element}: {text[-200:]}"
    if finite and compare and not scanned:
        return "finite logits are refused"
    return None


def transformers_is_finite(spoiler, ids):
    """Whether transformers' logits of this checkpoint, dequantised, are finite."""
    import torch
    import reference

    model, _ = reference.load(spoiler.directory)
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits
    return bool(torch.isfinite(logits).all())


def run_mode(args, work, name, options, mode):
    spoiler = Spoiler(name, work)
    prompts = [make_configs.prompt_ids(name, n) for n in LENGTHS]
    artifact, output = (os.path.join(work, f) for f in ("m.hadal", "o.npy"))
    device = args.device == "sim"
    if not args.transformers:
        done = subprocess.run(
            [os.path.join(args.bin, "hadal-compile"), spoiler.directory, "-o",
             artifact, "--max-batch-size=1", "--max-seq-len=64",
             "--decode-buckets=1", "--prefill-buckets=16", *options,
             *(["--target=sm_90a", "--ptxas=none"] if device else [])],
            capture_output=True, timeout=600)
        if done.returncode:
            sys.exit(done.stderr.decode()[-500:])
    compare = "--activations=f32" in options and "--fp8=w8a8" not in options
    failed = refused = tried = 0
    clean = oracle_of(spoiler, prompts[-1], mode)
    values = ["nan"] if args.quick and device else list(VALUES)
    for tensor, element, value, bits in cases(
            spoiler, prompts[-1], clean, args.quick, values):
        scanned = tensor.endswith(SCANNED)
        old = spoiler.put(tensor, element, bits)
        for ids in prompts[-1:] if scanned or device else prompts:
            want = oracle_of(spoiler, ids, mode)["logits"]
            tried += 1
            if args.transformers:
                wrong = None
                if transformers_is_finite(spoiler, ids) != np.isfinite(want).all():
                    wrong = "transformers and the oracle disagree"
            else:
                done = subprocess.run(
                    [os.path.join(args.bin, "hadal-run"), artifact, "--weights",
                     spoiler.directory, "--input-ids",
                     ",".join(map(str, ids)), "--logits", "all", "--output",
                     output, "-q", *(["--device=sim"] if device else ["-t", "2"])],
                    capture_output=True, timeout=600)
                refused += done.returncode != 0
                wrong = verdict(done, output, want, tensor, element, scanned,
                                compare)
            if wrong:
                failed += 1
                print(f"FAILED {name} {' '.join(options)}: {value} in {tensor}, "
                      f"element {element}, {len(ids)} tokens: {wrong}", flush=True)
        spoiler.put(tensor, element, old)
    print(f"{name} {' '.join(options)}: {tried} tried, {refused} refused, "
          f"{failed} failed", flush=True)
    return failed, tried


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin")
    parser.add_argument("--device", choices=list(MODES), default="cpu")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--transformers", action="store_true")
    args = parser.parse_args()
    failed = tried = 0
    for name, options, mode in MODES[args.device][:: 2 if args.quick else 1]:
        if args.only not in f"{name} {' '.join(options)}":
            continue
        work = tempfile.mkdtemp(prefix="hadal-non-finite-")
        try:
            some = run_mode(args, work, name, options, mode)
            failed, tried = failed + some[0], tried + some[1]
        finally:
            shutil.rmtree(work)
    print(f"{tried - failed} passed, {failed} failed")
    sys.exit(1 if failed or not tried else 0)


if __name__ == "__main__":
    main()
