"""Rows of compare.py for sm_90a artifacts, on the simulator or a GPU.

Each model is held against the float64 oracle that rounds to bf16 what the
kernels store (and W_UK and W_UV), in three ways:

  layer        every decoder layer alone, on the input that the oracle has there,
               8 prompts of 40: 1-cos of its output median < 1e-5, worst < 1e-3.
               The layer stands in a checkpoint of its own: its input is the
               embedding, and a head of ones on the diagonal shows its output.
               Left out, at most 2 %: where errors of float32's size move the
               oracle itself by 1e-3 (perturbed.py).
  bf16         32 prompts of 10, where the router margin exceeds 1e-3: median and
               worst < 1e-4. Left out, with small margins at most 15 %: where
               such errors move the oracle itself by 1e-4.
  w8a8         32 prompts of 10, every position: median < 1e-3. 8 prompts of 40:
               < 2e-3, because correct code reaches 1.5e-3 there: a code that
               rounds the other way in one row reaches all rows after it
               (docs/numerics.md).

A GPU sums FP8 products with fewer bits than float32 has, so that some codes differ
in every row. There w8a8 is held to medians alone: < 1e-3 of a layer, < 1e-2 of
prompts (the simulator's model of it, fp8=hopper13: 4.1e-4 and 4.0e-3).
"""

import json
import os

import formats
import make_configs
import numpy as np
from metrics import one_minus_cos
from oracle import Oracle
from perturbed import moved

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "../../models/tiny")
# The issue of the target names them: the shipped model, bf16, V2-Lite's shape,
# W8A8, and W8A8 with ragged widths. Then the head widths of the rest of the
# family: values of 192, and keys of 192 + 64 with values of 256.
MODELS = ["tiny", "v3", "v2-lite", "v3-fp8", "v3-ragged-fp8", "gigachat",
          "glm-flash-fp8"]
MORE = ["dense", "v3.1-fp8", "kimi-fp8", "gigachat-fp8", "glm-flash",
        "moonlight"]
EXPANDED = ["v3-fp8"]  # of --quick, in the expanded form of attention too
BATCH = 8  # prompts of one run


class Model:
    """A configuration, its oracle in one form of attention, and its prompts."""

    def __init__(self, name, attention):
        self.name, self.attention = name, attention
        if name == "tiny":
            self.config, self.tensors = formats.read_checkpoint(TINY)
        else:
            self.config = make_configs.CONFIGS[name][0]
            self.tensors = make_configs.make_tensors(name)
        self.fp8 = "w8a8" if "quantization_config" in self.config else None
        self.oracle = oracle_of(self.config, self.tensors, attention)
        self.known = {}

    def prompts(self, count, length):
        """`count` prompts, fewer where the text of models/tiny ends."""
        if self.name != "tiny":
            return [make_configs.prompt_ids(self.name, length, i + 1)
                    for i in range(count)]
        with open(os.path.join(HERE, "golden", "tiny.json")) as file:
            ids = json.load(file)["held_out"]["ids"]
        count = min(count, len(ids) // length)
        return [ids[i * length : (i + 1) * length] for i in range(count)]

    def expected(self, count, length):
        """The oracle's results on those prompts."""
        key = count, length
        if key not in self.known:
            self.known[key] = [self.oracle.run(row)
                               for row in self.prompts(count, length)]
        return self.known[key]


def oracle_of(config, tensors, attention):
    fp8 = "w8a8" if "quantization_config" in config else "w8a16"
    return Oracle(config, tensors, fp8, attention, "bf16", bf16_kv_b=True)


def joined(results, what):
    return np.concatenate([result[what] for result in results])


def one_layer(model, index, inputs):
    """Returns (config, tensors) of decoder layer `index` alone.

    Token i embeds as row i of `inputs` [N, D], and the first D logits of a
    position are its normalised output.
    """
    width, at = model.config["hidden_size"], f"model.layers.{index}."
    vocab = -(-max(len(inputs), width) // 8) * 8
    embedding, head = np.zeros((vocab, width)), np.eye(vocab, width)
    embedding[: len(inputs)] = inputs
    tensors = {"model.embed_tokens.weight": ("BF16", formats.to_bf16(embedding))}
    for name, tensor in model.tensors.items():
        if name.startswith(at):
            tensors["model.layers.0." + name[len(at) :]] = tensor
    tensors["model.norm.weight"] = ("BF16", formats.to_bf16(np.ones(width)))
    tensors["lm_head.weight"] = ("BF16", formats.to_bf16(head))
    config = dict(
        model.config, num_hidden_layers=1, vocab_size=vocab,
        first_k_dense_replace=int(at + "mlp.gate.weight" not in model.tensors),
        tie_word_embeddings=False)
    config.pop("mlp_layer_types", None)
    if model.fp8 and model.oracle.ue8m0 is False:
        # Inputs are bf16 like an embedding, and tie as often.
        make_configs.part_ties(tensors, config)
    return config, tensors


def device_logits(tools, directory, attention, rows):
    """Compiles the checkpoint in `directory` once and runs `rows` in batches;
    returns logits [positions, vocab]."""
    artifact, found = f"{directory}-{attention}.hadal", []
    path = os.path.join(tools.work, "logits.npy")
    if not os.path.exists(artifact):
        tools.call(
            "hadal-compile", directory, "-o", artifact, "--target=sm_90a",
            "--max-batch-size", BATCH, "--max-seq-len", 512,
            "--decode-buckets=1,8", "--prefill-buckets=128",
            "--attention", attention, "--kernel-cache",
            os.path.join(tools.work, "kernels"))
    for begin in range(0, len(rows), BATCH):
        text = ";".join(
            ",".join(map(str, row)) for row in rows[begin : begin + BATCH])
        tools.call(
            "hadal-run", artifact, "--weights", directory, "--input-ids", text,
            "--logits", "all", "--output", path, "-t", tools.threads,
            "--device", tools.device)
        found.append(np.load(path))
        os.remove(path)
    return np.concatenate(found)


def directory_of(tools, model):
    if model.name == "tiny":
        # Its artifact lies beside the checkpoint's directory.
        link = os.path.join(tools.work, "tiny")
        if not os.path.exists(link):
            os.symlink(os.path.abspath(TINY), link)
        return link
    return tools.model(model.name)


def described(distance, kept):
    some = distance[kept]
    return (f"1-cos median {np.median(some):.1e} 90% {np.quantile(some, 0.9):.1e} "
            f"worst {some.max():.1e}, {(~kept).sum()} of {len(kept)} positions "
            f"left out (worst of all {distance.max():.1e})")


def check_layer(tools, model, index):
    results = model.expected(8, 40)
    inputs = np.concatenate([result["hidden"][index] for result in results])
    config, tensors = one_layer(model, index, inputs)
    directory = os.path.join(tools.work, f"{model.name}-{model.attention}-{index}")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(config, file)
    formats.write_safetensors(
        os.path.join(directory, "model.safetensors"), tensors)
    length = len(results[0]["margin"])
    rows = [list(range(i * length, (i + 1) * length)) for i in range(len(results))]
    oracle = oracle_of(config, tensors, model.attention)
    want = joined([oracle.run(row) for row in rows], "logits")
    distance = one_minus_cos(
        device_logits(tools, directory, model.attention, rows), want)
    if tools.device == "cuda" and model.fp8:
        kept = np.ones(len(distance), bool)
        return np.median(distance) < 1e-3, described(distance, kept)
    kept = moved(oracle, rows, want) < 1e-3
    good = (np.median(distance[kept]) < 1e-5 and distance[kept].max() < 1e-3
            and kept.mean() >= 0.98)
    return good, described(distance, kept)


def check_whole(tools, model, count, length):
    rows, results = model.prompts(count, length), model.expected(count, length)
    want, margin = joined(results, "logits"), joined(results, "margin")
    distance = one_minus_cos(
        device_logits(tools, directory_of(tools, model), model.attention, rows),
        want)
    if model.fp8:
        kept = np.ones(len(distance), bool)
        bound = 1e-3 if length <= 10 else 2e-3
        if tools.device == "cuda":
            bound = 1e-2
        good = np.median(distance) < bound
    else:
        kept = (margin > 1e-3) & (moved(model.oracle, rows, want) < 1e-4)
        good = (np.median(distance[kept]) < 1e-4 and distance[kept].max() < 1e-4
                and kept.mean() > 0.85)
    return good, described(distance, kept)


def expands(name):
    """Whether the expanded attention holds the heads of a model; wider ones are
    refused by name (test/tools/hadal-compile/sm90a-refused.test)."""
    config = {} if name == "tiny" else make_configs.CONFIGS[name][0]
    return max(config.get("qk_nope_head_dim", 0), config.get("v_head_dim", 0)) <= 128


def run(tools, report, quick):
    whole = MODELS if quick else MODELS + MORE
    for name, attention in [(name, "absorbed") for name in whole] + [
            (name, "expanded") for name in (EXPANDED if quick else whole)
            if expands(name)]:
        model = Model(name, attention)
        kind = f"{name} {tools.device} {attention} bf16" + (
            " w8a8" if model.fp8 else "")
        for index in range(model.config["num_hidden_layers"]):
            report.row(f"{kind} layer {index}",
                       lambda m=model, i=index: check_layer(tools, m, i))
        for count, length in [(32, 10)] + [(8, 40)] * bool(model.fp8):
            report.row(f"{kind} prompts of {length}",
                       lambda m=model, c=count, n=length: check_whole(
                           tools, m, c, n))
