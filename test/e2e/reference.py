"""Runs transformers in float32 on a checkpoint directory.

    reference.py MODEL_DIR --input-ids 0,5,17 --output out.npz [--greedy 64]

The result holds logits float32 [positions, vocab], margin float64 [positions]
(see oracle.route; here from transformers' own router logits) and, with
--greedy, greedy int32 [n] and the smallest gap between the two largest logits on
the way. Needs torch and transformers: 5.23 masks excluded groups with -inf;
releases that mask with 0 differ where biases are negative. FP8 weights are
dequantised to float32 here and loaded under the same names, without the
quantisation keys of config.json.
"""

import argparse
import json
import os
import sys
import tempfile

import numpy as np

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models"))
import formats
from oracle import route

PINNED = "5.23.0"


def load(directory):
    """Returns (model, config): transformers' model in float32, eval mode."""
    import torch
    import transformers

    config, tensors = formats.read_checkpoint(directory)
    plain = {}
    for name, (dtype, array) in tensors.items():
        if name.endswith("_scale_inv"):
            continue
        if name.startswith("model.layers.") and int(
                name.split(".")[2]) >= config["num_hidden_layers"]:
            continue  # predicts several tokens; some classes refuse the rest
        if dtype == "F8_E4M3":
            array = formats.dequantize_blocks(
                array, tensors[name + "_scale_inv"][1], np.float32)
        elif dtype == "BF16":
            array = formats.from_bf16(array)
        plain[name] = ("F32", np.ascontiguousarray(array, np.float32))
    theirs = {k: v for k, v in config.items()
              if k not in ("quantization_config", "torch_dtype")}
    if theirs["model_type"] == "kimi_k2":
        theirs["model_type"] = "deepseek_v3"
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(theirs, file)
        formats.write_safetensors(os.path.join(folder, "model.safetensors"), plain)
        kind = getattr(transformers, theirs["architectures"][0])
        model, report = kind.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager",
            output_loading_info=True)
    bad = {k: v for k, v in report.items() if v}
    if bad:
        raise RuntimeError(f"transformers did not load {directory} whole: {bad}")
    return model.eval(), config


def run(model, config, ids, greedy=0):
    """Returns the dict that the command writes."""
    import torch

    logits_of, margins = [], []
    hooks = []
    for layer in model.model.layers:
        gate = getattr(layer.mlp, "gate", None)
        if gate is not None:
            hooks.append(gate.register_forward_hook(
                lambda module, _, out: logits_of.append((module, out[0]))))
    with torch.no_grad():
        out = model(torch.tensor([list(ids)]), use_cache=False)
    for hook in hooks:
        hook.remove()
    for gate, values in logits_of:
        bias = getattr(gate, "e_score_correction_bias", None)
        margins.append(route(
            config, values.double().numpy(),
            None if bias is None else bias.numpy())[2])
    result = dict(
        logits=out.logits[0].float().numpy(),
        margin=np.min(margins, 0) if margins else np.full(len(ids), np.inf))
    if greedy:
        chosen, gap, step, cache = [], np.inf, list(ids), None
        with torch.no_grad():
            for _ in range(greedy):
                out = model(torch.tensor([step]), past_key_values=cache,
                            use_cache=True)
                cache = out.past_key_values
                best = torch.topk(out.logits[0, -1], 2)
                gap = min(gap, (best.values[0] - best.values[1]).item())
                step = [best.indices[0].item()]
                chosen += step
        result.update(greedy=np.array(chosen, np.int32), gap=np.float64(gap))
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--input-ids", required=True)
    parser.add_argument("--greedy", type=int, default=0)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    model, config = load(args.model)
    ids = [int(i) for i in args.input_ids.split(",")]
    np.savez(args.output, **run(model, config, ids, args.greedy))


if __name__ == "__main__":
    main()
