"""Turns the output of train.py into the checkpoint that is shipped.

    python export.py --run DIR --out models/tiny

Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json and
generation_config.json in the form of DeepSeek-V3's published files: linear
weights as F8_E4M3 codes with one F32 `weight_scale_inv` per 128x128 block (the
scale multiplies), embedding, head, norms and router weight in BF16, the router
bias in F32, one tensor per expert.
"""

import argparse
import json
import os
import shutil
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import formats
import tokenizer as bpe


def hf_config(config):
    """Returns the config.json of the checkpoint, with the published keys."""
    rope = dict(config["rope_parameters"])
    theta = rope.pop("rope_theta")
    rope["type"] = rope.pop("rope_type")
    plain = {k: v for k, v in config.items()
             if k not in ("rope_parameters", "num_mtp_layers")}
    return dict(
        architectures=["DeepseekV3ForCausalLM"],
        model_type="deepseek_v3",
        **plain,
        attention_bias=False,
        attention_dropout=0.0,
        hidden_act="silu",
        moe_layer_freq=1,
        num_nextn_predict_layers=0,
        rope_theta=theta,
        rope_scaling=rope,
        scoring_func="sigmoid",
        topk_method="noaux_tc",
        tie_word_embeddings=False,
        torch_dtype="bfloat16",
        use_cache=True,
        quantization_config=dict(
            activation_scheme="dynamic", fmt="e4m3", quant_method="fp8",
            weight_block_size=[128, 128]),
    )


def per_expert(state):
    """Yields (name, float32 array) with the fused experts taken apart."""
    for name, tensor in state.items():
        array = tensor.float().numpy()
        stem, _, last = name.rpartition(".")
        if last == "gate_up_proj":
            half = array.shape[1] // 2
            for e, both in enumerate(array):
                yield f"{stem}.{e}.gate_proj.weight", both[:half]
                yield f"{stem}.{e}.up_proj.weight", both[half:]
        elif last == "down_proj":
            for e, down in enumerate(array):
                yield f"{stem}.{e}.down_proj.weight", down
        else:
            yield name, array


def quantize(state):
    """Returns {name: (dtype, array)} for formats.write_safetensors."""
    tensors = {}
    for name, array in per_expert(state):
        if name.endswith("_proj.weight") or name.endswith("_with_mqa.weight"):
            codes, scales = formats.quantize_blocks(array)
            tensors[name] = ("F8_E4M3", codes)
            tensors[name + "_scale_inv"] = ("F32", scales)
        elif name.endswith("e_score_correction_bias"):
            tensors[name] = ("F32", array)
        else:
            tensors[name] = ("BF16", formats.to_bf16(array))
    return dict(sorted(tensors.items()))


def put_json(path, value):
    with open(path, "w") as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True, help="--out of train.py")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)

    with open(os.path.join(args.run, "config.json")) as file:
        config = json.load(file)
    state = torch.load(os.path.join(args.run, "checkpoint.pt"), weights_only=True)
    tensors = quantize(state)
    formats.write_safetensors(os.path.join(args.out, "model.safetensors"), tensors)
    put_json(os.path.join(args.out, "config.json"), hf_config(config))
    shutil.copy(os.path.join(args.run, "tokenizer.json"), args.out)

    def special(text):
        return {"__type": "AddedToken", "content": text, "lstrip": False,
                "normalized": False, "rstrip": False, "single_word": False}

    put_json(os.path.join(args.out, "tokenizer_config.json"), dict(
        add_bos_token=True,
        add_eos_token=False,
        bos_token=special(bpe.BOS),
        eos_token=special(bpe.EOS),
        pad_token=special(bpe.EOS),
        clean_up_tokenization_spaces=False,
        model_max_length=config["max_position_embeddings"],
        tokenizer_class="LlamaTokenizerFast",
        unk_token=None,
    ))
    put_json(os.path.join(args.out, "generation_config.json"), dict(
        bos_token_id=0, eos_token_id=1, do_sample=True, temperature=0.7,
        top_p=0.95))
    size = sum(e.stat().st_size for e in os.scandir(args.out) if e.is_file())
    print(f"{len(tensors)} tensors, directory {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
