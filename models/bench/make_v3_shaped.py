"""Writes a random FP8 checkpoint of DeepSeek-V3's real widths, for measuring.

    make_v3_shaped.py --out DIR [--dense-layers 1] [--moe-layers 1]
                      [--experts 16] [--vocab 16384] [--seed 1] [--codes normal]
                      [--config-only]

Widths are those of V3 (7168, q_lora 1536, kv_lora 512, 128 heads of 128 + 64,
dense 18432, experts 2048, top-8); the number of layers, of experts and the
vocabulary are reduced. Codes are those of normal weights, quantised under a
scale of amax / 448 as real checkpoints are, with scales that keep activations
of order 1; `--codes uniform` draws all finite codes alike, of which one in 18
is subnormal and some processors slow down at denormals. Prints the bytes of
weights that one decode step of one row reads: with the defaults 1.40 GB, of a
checkpoint of 1.99 GB. Needs numpy; writes about as fast as the disk.
"""

import argparse
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import formats

# Codes that tensors are drawn from, each as likely: all finite ones, or those of
# normal values whose largest of a block of 128 x 128, about four of their
# deviation, is 448.
UNIFORM = np.flatnonzero(~np.isnan(formats.E4M3)).astype(np.uint8)
DRAWS = 1 << 16


def normal_codes():
    """Returns DRAWS e4m3 codes of normal values, rounded to nearest."""
    finite = formats.E4M3[:0x7F].astype(np.float64)
    middles = (finite[1:] + finite[:-1]) / 2
    values = np.random.Generator(np.random.SFC64(0)).standard_normal(DRAWS) * 112
    found = np.searchsorted(middles, np.minimum(np.abs(values), 448))
    return (found | np.where(values < 0, 0x80, 0)).astype(np.uint8)


CODES = {"normal": normal_codes(), "uniform": np.resize(UNIFORM, DRAWS)}


def configuration(args):
    """Returns config.json: the published one with the reduced numbers."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "../deepseek-v3/config.json")) as file:
        config = json.load(file)
    config.update(
        num_hidden_layers=args.dense_layers + args.moe_layers,
        first_k_dense_replace=args.dense_layers, n_routed_experts=args.experts,
        n_group=4, topk_group=2, vocab_size=args.vocab,
        num_nextn_predict_layers=0)
    if args.experts % 4 or args.experts // 2 < config["num_experts_per_tok"]:
        raise SystemExit(
            f"--experts {args.experts}: a multiple of 4, at least "
            f"{2 * config['num_experts_per_tok']}, is needed (4 groups, 2 kept)")
    return config


class Writer:
    """Collects tensors, then writes them one at a time."""

    def __init__(self):
        self.tensors = {}  # name -> (dtype, shape, function making the bytes)
        self.read = 0  # bytes of weights that a decode step of one row reads

    def add(self, name, dtype, shape, make, share=1.0):
        self.tensors[name] = (dtype, shape, make)
        size = {"F32": 4, "BF16": 2, "F8_E4M3": 1}[dtype]
        self.read += int(np.prod(shape)) * size * share

    def write(self, path, seed):
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for name, (dtype, shape, _) in self.tensors.items():
            size = {"F32": 4, "BF16": 2, "F8_E4M3": 1}[dtype]
            end = offset + int(np.prod(shape)) * size
            header[name] = dict(
                dtype=dtype, shape=list(shape), data_offsets=[offset, end])
            offset = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 64)
        rng = np.random.Generator(np.random.SFC64(seed))
        with open(path + ".tmp", "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for _, shape, make in self.tensors.values():
                make(rng, shape).tofile(file)
        os.replace(path + ".tmp", path)
        return offset


def codes(kind):
    """Returns a function that draws a tensor of e4m3 codes of |kind|."""

    def make(rng, shape):
        count = int(np.prod(shape))
        return CODES[kind][np.frombuffer(rng.bytes(2 * count), np.uint16)]

    return make


def bf16(std, mean=0.0):
    def make(rng, shape):
        values = rng.standard_normal(int(np.prod(shape)), np.float32)
        return formats.to_bf16(values * np.float32(std) + np.float32(mean))

    return make


def build(config, kind):
    writer = Writer()
    # Root mean square of a code, for the scales.
    rms = float(np.sqrt(np.mean(formats.E4M3[CODES[kind]].astype(np.float64) ** 2)))
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    value, latent = config["v_head_dim"], config["kv_lora_rank"]
    rank, vocab = config["q_lora_rank"], config["vocab_size"]

    def linear(name, out, inner, share=1.0):
        writer.add(name + ".weight", "F8_E4M3", (out, inner), codes(kind), share)
        scale = 1 / (rms * inner**0.5)

        def scales(rng, shape):
            return (scale * rng.uniform(0.8, 1.2, shape)).astype(np.float32)

        writer.add(name + ".weight_scale_inv", "F32",
                   (-(-out // 128), -(-inner // 128)), scales, share)

    def norm(name, width):
        writer.add(name + ".weight", "BF16", (width,), bf16(0.1, 1.0))

    def mlp(name, width, share=1.0):
        linear(name + ".gate_proj", width, hidden, share)
        linear(name + ".up_proj", width, hidden, share)
        linear(name + ".down_proj", hidden, width, share)

    writer.add("model.embed_tokens.weight", "BF16", (vocab, hidden), bf16(1.0),
               1 / vocab)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        attn = at + "self_attn."
        norm(at + "input_layernorm", hidden)
        linear(attn + "q_a_proj", rank, hidden)
        norm(attn + "q_a_layernorm", rank)
        linear(attn + "q_b_proj", heads * (nope + rope), rank)
        linear(attn + "kv_a_proj_with_mqa", latent + rope, hidden)
        norm(attn + "kv_a_layernorm", latent)
        linear(attn + "kv_b_proj", heads * (nope + value), latent)
        linear(attn + "o_proj", hidden, heads * value)
        norm(at + "post_attention_layernorm", hidden)
        if layer < config["first_k_dense_replace"]:
            mlp(at + "mlp", config["intermediate_size"])
            continue
        experts = config["n_routed_experts"]
        share = config["num_experts_per_tok"] / experts
        writer.add(at + "mlp.gate.weight", "BF16", (experts, hidden),
                   bf16(3 / hidden**0.5))
        writer.add(
            at + "mlp.gate.e_score_correction_bias", "F32", (experts,),
            lambda rng, shape: rng.uniform(4.9, 5.1, shape).astype(np.float32))
        for expert in range(experts):
            mlp(f"{at}mlp.experts.{expert}", config["moe_intermediate_size"], share)
        mlp(at + "mlp.shared_experts", config["moe_intermediate_size"])
    norm("model.norm", hidden)
    writer.add("lm_head.weight", "BF16", (vocab, hidden), bf16(2 / hidden**0.5))
    return writer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--dense-layers", type=int, default=1)
    parser.add_argument("--moe-layers", type=int, default=1)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--vocab", type=int, default=16384)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--codes", choices=sorted(CODES), default="normal")
    parser.add_argument("--config-only", action="store_true",
                        help="write config.json and no weights")
    args = parser.parse_args()
    config = configuration(args)
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    if args.config_only:
        return
    writer = build(config, args.codes)
    total = writer.write(os.path.join(args.out, "model.safetensors"), args.seed)
    print(f"{total / 1e9:.2f} GB written, a decode step of one row reads "
          f"{writer.read / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
