"""Writes a checkpoint of zeros for the config.json beside this script.

The tensor table is written down from model-spec 4.2, not taken from the
frontend. Options damage it, one tensor at a time:
  --drop NAME            leave a tensor out
  --reshape NAME A,B     give it another shape
  --retype NAME DTYPE    give it another dtype
  --add NAME             one more tensor, f32[1]
  --mtp                  add some tensors of the announced MTP layer; --mtp=whole: all
  --converted            names of DeepSeek's converter (model-spec 4.2), in
  --file NAME            this file
  --field NAME JSON      set a field of config.json; null removes it
  --index-without TEXT   an index of all tensors but those with TEXT in the name
  --twice                the file a second time, as model-copy.safetensors; an
                         index names a tensor of it
"""

import argparse
import json
import os
import shutil
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
BYTES = {"F8_E4M3": 1, "BF16": 2, "F32": 4, "F16": 2, "F8_E8M0": 1}


def blocks(n):
    return (n + 127) // 128


def table(c, mtp):
    """name -> (dtype, shape)"""
    d, heads = c["hidden_size"], c["num_attention_heads"]
    latent, rope = c["kv_lora_rank"], c["qk_rope_head_dim"]
    head = c["qk_nope_head_dim"] + rope
    tensors = {}

    def fp8(name, rows, columns):
        tensors[name + ".weight"] = ("F8_E4M3", [rows, columns])
        scale = [blocks(rows), blocks(columns)]
        tensors[name + ".weight_scale_inv"] = ("F32", scale)

    def bf16(name, *shape):
        tensors[name] = ("BF16", list(shape))

    def mlp(prefix, width):
        fp8(prefix + "gate_proj", width, d)
        fp8(prefix + "up_proj", width, d)
        fp8(prefix + "down_proj", d, width)

    bf16("model.embed_tokens.weight", c["vocab_size"], d)
    bf16("model.norm.weight", d)
    bf16("lm_head.weight", c["vocab_size"], d)
    layers = c["num_hidden_layers"] + (c["num_nextn_predict_layers"] if mtp else 0)
    for i in range(layers):
        p = f"model.layers.{i}."
        a = p + "self_attn."
        bf16(p + "input_layernorm.weight", d)
        bf16(p + "post_attention_layernorm.weight", d)
        fp8(a + "q_a_proj", c["q_lora_rank"], d)
        bf16(a + "q_a_layernorm.weight", c["q_lora_rank"])
        fp8(a + "q_b_proj", heads * head, c["q_lora_rank"])
        fp8(a + "kv_a_proj_with_mqa", latent + rope, d)
        bf16(a + "kv_a_layernorm.weight", latent)
        kv = heads * (c["qk_nope_head_dim"] + c["v_head_dim"])
        fp8(a + "kv_b_proj", kv, latent)
        fp8(a + "o_proj", d, heads * c["v_head_dim"])
        if i < c["first_k_dense_replace"]:
            mlp(p + "mlp.", c["intermediate_size"])
            continue
        bf16(p + "mlp.gate.weight", c["n_routed_experts"], d)
        bias = p + "mlp.gate.e_score_correction_bias"
        tensors[bias] = ("F32", [c["n_routed_experts"]])
        for e in range(c["n_routed_experts"]):
            mlp(f"{p}mlp.experts.{e}.", c["moe_intermediate_size"])
        shared = c["n_shared_experts"] * c["moe_intermediate_size"]
        mlp(p + "mlp.shared_experts.", shared)
    if mtp:
        p = f"model.layers.{c['num_hidden_layers']}."
        bf16(p + "enorm.weight", d)
        bf16(p + "eh_proj.weight", d, 2 * d)
        if mtp == "whole":
            bf16(p + "hnorm.weight", d)
            bf16(p + "shared_head.norm.weight", d)
            bf16(p + "shared_head.head.weight", c["vocab_size"], d)
            bf16(p + "embed_tokens.weight", c["vocab_size"], d)
    return tensors


CONVERTED = {
    "embed_tokens": "embed", "lm_head": "head", "norm": "norm", "gate": "gate",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "q_a_proj": "wq_a", "q_a_layernorm": "q_norm", "q_b_proj": "wq_b",
    "kv_a_proj_with_mqa": "wkv_a", "kv_a_layernorm": "kv_norm",
    "kv_b_proj": "wkv_b", "o_proj": "wo",
    "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3",
}


def converted(name):
    """As the converter does it: text replaced, then the last but one component."""
    name = name.removeprefix("model.")
    for old, new in (("self_attn", "attn"), ("mlp", "ffn"),
                     ("weight_scale_inv", "scale"),
                     ("e_score_correction_bias", "bias")):
        name = name.replace(old, new)
    parts = name.split(".")
    parts[-2] = CONVERTED[parts[-2]]
    return ".".join(parts)


def write(path, tensors):
    header, offset = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = BYTES[dtype]
        for n in shape:
            size *= n
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + offset)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--drop")
    parser.add_argument("--reshape", nargs=2)
    parser.add_argument("--retype", nargs=2)
    parser.add_argument("--add")
    parser.add_argument("--mtp", nargs="?", const="part")
    parser.add_argument("--converted", action="store_true")
    parser.add_argument("--file", default="model.safetensors")
    parser.add_argument("--field", nargs=2)
    parser.add_argument("--index-without")
    parser.add_argument("--twice", action="store_true")
    args = parser.parse_args()
    with open(os.path.join(HERE, "config.json")) as file:
        config = json.load(file)
    tensors = table(config, args.mtp)
    if args.field:
        config[args.field[0]] = json.loads(args.field[1])
        if config[args.field[0]] is None:
            del config[args.field[0]]
    if args.converted:
        tensors = {converted(n): t for n, t in tensors.items()}
    if args.drop:
        del tensors[args.drop]
    if args.reshape:
        name, shape = args.reshape
        tensors[name] = (tensors[name][0], [int(n) for n in shape.split(",")])
    if args.retype:
        name, dtype = args.retype
        tensors[name] = (dtype, tensors[name][1])
    if args.add:
        tensors[args.add] = ("F32", [1])
    shutil.rmtree(args.directory, ignore_errors=True)
    os.makedirs(args.directory)
    with open(os.path.join(args.directory, "config.json"), "w") as file:
        json.dump(config, file)
    write(os.path.join(args.directory, args.file), tensors)
    if args.twice:
        write(os.path.join(args.directory, "model-copy.safetensors"), tensors)
    if args.index_without:
        names = [n for n in tensors if args.index_without not in n]
        files = {n: args.file for n in names}
        if args.twice:
            files[names[0]] = "model-copy.safetensors"
        index = os.path.join(args.directory, "model.safetensors.index.json")
        with open(index, "w") as file:
            json.dump({"weight_map": files}, file)


if __name__ == "__main__":
    main()
