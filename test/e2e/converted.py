"""Runs models/tiny under DeepSeek's own names: the same logits, bit for bit.

    converted.py --bin build/bin

The checkpoint is renamed as inference/convert.py of DeepSeek-V3 does it (the
data stays), its config.json rewritten with the fields of inference/configs.
Needs python3 and nothing more.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

TINY = os.path.join(os.path.dirname(__file__), "..", "..", "models", "tiny")
NAMES = {
    "embed_tokens": "embed", "lm_head": "head", "norm": "norm", "gate": "gate",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "q_a_proj": "wq_a", "q_a_layernorm": "q_norm", "q_b_proj": "wq_b",
    "kv_a_proj_with_mqa": "wkv_a", "kv_a_layernorm": "kv_norm",
    "kv_b_proj": "wkv_b", "o_proj": "wo",
    "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3",
}
FIELDS = {
    "vocab_size": "vocab_size", "dim": "hidden_size",
    "inter_dim": "intermediate_size", "moe_inter_dim": "moe_intermediate_size",
    "n_layers": "num_hidden_layers", "n_dense_layers": "first_k_dense_replace",
    "n_heads": "num_attention_heads", "n_routed_experts": "n_routed_experts",
    "n_shared_experts": "n_shared_experts",
    "n_activated_experts": "num_experts_per_tok", "n_expert_groups": "n_group",
    "n_limited_groups": "topk_group", "route_scale": "routed_scaling_factor",
    "score_func": "scoring_func", "q_lora_rank": "q_lora_rank",
    "kv_lora_rank": "kv_lora_rank", "qk_nope_head_dim": "qk_nope_head_dim",
    "qk_rope_head_dim": "qk_rope_head_dim", "v_head_dim": "v_head_dim",
    "rope_theta": "rope_theta",
}


def converted(name):
    name = name.removeprefix("model.")
    for old, new in (("self_attn", "attn"), ("mlp", "ffn"),
                     ("weight_scale_inv", "scale"),
                     ("e_score_correction_bias", "bias")):
        name = name.replace(old, new)
    parts = name.split(".")
    parts[-2] = NAMES[parts[-2]]
    return ".".join(parts)


def convert(directory):
    with open(os.path.join(TINY, "model.safetensors"), "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(length)), file.read()
    header = {n if n == "__metadata__" else converted(n): t
              for n, t in header.items()}
    text = json.dumps(header).encode()
    with open(os.path.join(directory, "model0-mp1.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(TINY, "config.json")) as file:
        hf = json.load(file)
    yarn = hf["rope_scaling"]
    config = {new: hf[old] for new, old in FIELDS.items()}
    config |= {"dtype": "fp8", "rope_factor": yarn["factor"],
               "original_seq_len": yarn["original_max_position_embeddings"],
               "beta_fast": yarn["beta_fast"], "beta_slow": yarn["beta_slow"],
               "mscale": yarn["mscale"]}
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(config, file)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(TINY, name), directory)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        renamed = os.path.join(work, "renamed")
        os.makedirs(renamed)
        convert(renamed)
        logits = []
        for name, model in ("a", TINY), ("b", renamed):
            artifact = os.path.join(work, name + ".hadal")
            output = os.path.join(work, name + ".npy")
            for command in (
                    ["hadal-compile", model, "-o", artifact, "--max-batch-size",
                     "1", "--max-seq-len", "1024", "--decode-buckets", "1",
                     "--prefill-buckets", "64", "--images=native"],
                    ["hadal-run", artifact, "--weights", model, "--input-ids",
                     ",".join(str(7 * i % 1000) for i in range(20)),
                     "--logits", "all", "--output", output]):
                command[0] = os.path.join(args.bin, command[0])
                done = subprocess.run(command, capture_output=True, timeout=600)
                if done.returncode:
                    sys.exit(f"{command}: {done.stderr.decode()[-400:]}")
            with open(output, "rb") as file:
                logits.append(file.read())
    if logits[0] != logits[1] or len(logits[0]) < 20 * 1024 * 4:
        sys.exit("the logits differ")
    print("equal logits under both sets of names")


if __name__ == "__main__":
    main()
