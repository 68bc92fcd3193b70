"""Writes the random checkpoints that the end-to-end numerics are tested with.

    make_configs.py --out DIR [NAME ...]     one directory each under DIR
    make_configs.py --list

Each directory holds config.json and model.safetensors. Needs numpy alone; the
bytes are the same on every machine (formats.Random). Weights are scaled so that
activations stay of order 1 and router logits have a standard deviation of about
3; unquantised weights are stored in bf16, so that every reader sees the same
values. Rows 0 and 1 of the head (BOS, EOS) are zero: never the largest logit.

Names ending in `-fp8` hold 128x128 block-scaled weights, which transformers
reads only after reference.py has dequantised them.
"""

import argparse
import json
import math
import os
import re
import sys

import numpy as np

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models"))
import formats

YARN = dict(type="yarn", factor=40, original_max_position_embeddings=64,
            beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0)
INT4 = dict(
    quant_method="compressed-tensors", format="pack-quantized",
    quantization_status="compressed", kv_cache_scheme=None,
    config_groups=dict(group_0=dict(
        input_activations=None, output_activations=None, targets=["Linear"],
        weights=dict(num_bits=4, type="int", symmetric=True, strategy="group",
                     group_size=32, dynamic=False, actorder=None,
                     block_structure=None, observer="minmax", observer_kwargs={}))),
    ignore=["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*",
            "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"])
FP8 = dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8",
           weight_block_size=[128, 128])


def v3(**changes):
    """Returns a small DeepSeek-V3 configuration with `changes` applied."""
    config = dict(
        architectures=["DeepseekV3ForCausalLM"], model_type="deepseek_v3",
        vocab_size=128, hidden_size=256, intermediate_size=256,
        moe_intermediate_size=128, num_hidden_layers=3, first_k_dense_replace=1,
        num_attention_heads=4, num_key_value_heads=4, q_lora_rank=128,
        kv_lora_rank=128, qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64,
        n_routed_experts=16, n_shared_experts=1, num_experts_per_tok=4, n_group=4,
        topk_group=2, topk_method="noaux_tc", scoring_func="sigmoid",
        norm_topk_prob=True, routed_scaling_factor=2.5, moe_layer_freq=1,
        rms_norm_eps=1e-6, rope_theta=10000, rope_scaling=None,
        max_position_embeddings=4096, hidden_act="silu", attention_bias=False,
        attention_dropout=0.0, tie_word_embeddings=False, bos_token_id=0,
        eos_token_id=1, num_nextn_predict_layers=0, torch_dtype="bfloat16",
        use_cache=True,
    )
    config.update(changes)
    return config


def v2(**changes):
    """Returns a small DeepSeek-V2 configuration with `changes` applied."""
    base = dict(
        architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2",
        scoring_func="softmax", norm_topk_prob=False, n_shared_experts=2,
        topk_method="group_limited_greedy", routed_scaling_factor=4.0)
    base.update(changes)
    config = v3(**base)
    del config["num_nextn_predict_layers"]
    return config


def youtu(**changes):
    """Returns a small dense Youtu-LLM configuration, as transformers writes it."""
    config = v3(
        architectures=["YoutuForCausalLM"], model_type="youtu",
        tie_word_embeddings=True, q_lora_rank=64, qk_nope_head_dim=128,
        qk_rope_head_dim=64, v_head_dim=128, head_dim=64, qk_head_dim=192,
        mlp_bias=False, rope_interleave=True, dtype="bfloat16",
        rope_parameters=dict(rope_theta=1600000.0, rope_type="default"))
    for key in ("moe_intermediate_size", "first_k_dense_replace", "n_routed_experts",
                "n_shared_experts", "num_experts_per_tok", "n_group", "topk_group",
                "topk_method", "scoring_func", "norm_topk_prob",
                "routed_scaling_factor", "moe_layer_freq", "rope_theta",
                "rope_scaling", "torch_dtype", "num_nextn_predict_layers"):
        del config[key]
    config.update(changes)
    return config


def glm_flash(**changes):
    """Returns a small GLM-4.7-Flash configuration: it names no scoring_func."""
    config = v3(
        architectures=["Glm4MoeLiteForCausalLM"], model_type="glm4_moe_lite",
        num_attention_heads=5, num_key_value_heads=5, qk_nope_head_dim=192,
        qk_rope_head_dim=64, v_head_dim=256, n_routed_experts=8, n_group=1,
        topk_group=1, routed_scaling_factor=1.8, rms_norm_eps=1e-5,
        rope_theta=1000000, partial_rotary_factor=1.0, dtype="bfloat16",
        mlp_layer_types=["dense", "sparse", "sparse"])
    del config["scoring_func"], config["torch_dtype"]
    config.update(changes)
    return config


def indexed(**changes):
    """Returns the keys of a sparse attention indexer, with `changes` applied."""
    return dict(dict(index_n_heads=4, index_head_dim=128, index_topk=128,
                     qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128),
                **changes)


# What each configuration is there for, beside what its name says. `make` holds
# what shapes the weights: bias = (lowest, step), latent = gain of the latent
# projections, embed = scale of the embedding.
CONFIGS = {
    # The shape of V3 itself: every width a multiple of 64 or 128.
    "v3": (v3(rope_scaling=YARN), {}),
    # No width is a multiple of 16; one rotary pair more than a power of two;
    # mscale differs from mscale_all_dim, so cos and sin are scaled as well.
    "v3-odd": (v3(
        vocab_size=131, hidden_size=200, intermediate_size=136,
        moe_intermediate_size=56, num_attention_heads=3, num_key_value_heads=3,
        q_lora_rank=72, kv_lora_rank=40, qk_nope_head_dim=24, qk_rope_head_dim=10,
        v_head_dim=20, n_routed_experts=12, n_group=3, num_experts_per_tok=3,
        rope_scaling=dict(YARN, factor=8, mscale=1.0, mscale_all_dim=0.707)), {}),
    # Negative biases: an implementation that masks excluded experts with zero
    # picks them. As many experts as the kept groups hold, and three dense layers.
    "v3-negative-bias": (v3(
        num_hidden_layers=4, first_k_dense_replace=3, num_experts_per_tok=8), {
            "bias": (-3.2, 0.01)}),
    # Kimi-K2: one group, hard YaRN step, eps 1e-5 (the inner norms keep 1e-6),
    # biases near 5 a thousandth apart: bf16 cannot hold their order.
    "kimi": (v3(
        model_type="kimi_k2", n_group=1, topk_group=1, n_routed_experts=24,
        num_experts_per_tok=4, routed_scaling_factor=2.827, rms_norm_eps=1e-5,
        rope_theta=50000.0, num_attention_heads=2, num_key_value_heads=2,
        rope_scaling=dict(YARN, factor=32.0, beta_fast=1.0, beta_slow=1.0)), {
            "bias": (5.0, 0.001)}),
    # eps 1e-5 and signals so small that it matters where which eps is used.
    "v3-eps": (v3(
        rms_norm_eps=1e-5, hidden_size=192, num_hidden_layers=2), {
            "embed": 0.004, "latent": 0.004, "branch": 0.01}),
    # V2-Lite: no q_lora, greedy selection, two shared experts.
    "v2-lite": (v2(
        q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1,
        routed_scaling_factor=1.0, num_experts_per_tok=6, num_attention_heads=2,
        num_key_value_heads=2,
        rope_scaling=dict(YARN, mscale=0.707, mscale_all_dim=0.707)), {}),
    # V2: groups by their maximum, weights not renormalised, eight groups of two.
    "v2-groups": (v2(
        n_group=8, topk_group=3, num_experts_per_tok=6, qk_nope_head_dim=32,
        qk_rope_head_dim=16, v_head_dim=48), {}),
    # No MoE layer at all, no q_lora, YaRN by factor alone.
    "dense": (v3(
        num_hidden_layers=2, first_k_dense_replace=2, q_lora_rank=None,
        intermediate_size=320,
        rope_scaling=dict(type="yarn", factor=4,
                          original_max_position_embeddings=64)), {}),
    # No dense layer at all, two shared experts, as many groups as V3 has.
    "v3-shared2": (v3(
        n_shared_experts=2, n_group=8, topk_group=4, n_routed_experts=32,
        num_experts_per_tok=8, first_k_dense_replace=0, num_hidden_layers=2), {}),
    # FP8, all widths multiples of 128 but the rotary rows, as in V3.
    "v3-fp8": (v3(
        rope_scaling=YARN, quantization_config=FP8, qk_nope_head_dim=128,
        v_head_dim=128, num_attention_heads=2, num_key_value_heads=2,
        moe_intermediate_size=256), {}),
    # FP8 with ragged K and N in every linear layer, and blocks of subnormal codes.
    "v3-odd-fp8": (v3(
        vocab_size=131, hidden_size=200, intermediate_size=328,
        moe_intermediate_size=136, num_attention_heads=3, num_key_value_heads=3,
        q_lora_rank=168, kv_lora_rank=144, qk_nope_head_dim=40,
        qk_rope_head_dim=16, v_head_dim=56, n_routed_experts=12, n_group=3,
        num_experts_per_tok=3, quantization_config=FP8,
        rope_scaling=dict(YARN, mscale_all_dim=0.707)), {"subnormal": True}),
    # Ragged in every linear layer, with head widths that a GPU's copies take.
    "v3-ragged-fp8": (v3(
        vocab_size=131, hidden_size=200, intermediate_size=328,
        moe_intermediate_size=136, num_attention_heads=3, num_key_value_heads=3,
        q_lora_rank=168, kv_lora_rank=144, qk_nope_head_dim=48,
        qk_rope_head_dim=16, v_head_dim=56, n_routed_experts=12, n_group=3,
        num_experts_per_tok=3, quantization_config=FP8), {}),
    # FP8 with power-of-two scales, of weights and of activations.
    "v3.1-fp8": (v3(
        quantization_config=dict(FP8, scale_fmt="ue8m0"), n_shared_experts=2), {}),
    # FP8, Kimi's router, no q_lora.
    "kimi-fp8": (v3(
        model_type="kimi_k2", n_group=1, topk_group=1, q_lora_rank=None,
        rms_norm_eps=1e-5, routed_scaling_factor=2.827, rope_theta=50000.0,
        quantization_config=FP8,
        rope_scaling=dict(YARN, factor=32.0, beta_fast=1.0, beta_slow=1.0)), {
            "bias": (5.0, 0.001)}),
    # FP8 with the embedding as head. BOS has a row of zeros there, so the first
    # row of every prompt is zero up to its logits: no group may turn into NaN.
    "tied-fp8": (v3(
        tie_word_embeddings=True, num_hidden_layers=2, first_k_dense_replace=0,
        quantization_config=FP8, rope_scaling=YARN), {"embed": 0.1}),
    # One layer each: its input is the embedding, the same bits for everyone, so
    # these are held to the bound of a layer with forced input.
    "layer-dense-fp8": (v3(
        num_hidden_layers=1, quantization_config=FP8, intermediate_size=320,
        rope_scaling=YARN), {"embed": 0.5}),
    "layer-moe-fp8": (v3(
        num_hidden_layers=1, first_k_dense_replace=0, quantization_config=FP8,
        moe_intermediate_size=200), {"embed": 0.5}),
    "layer-ue8m0-fp8": (v3(
        num_hidden_layers=1, first_k_dense_replace=0, q_lora_rank=None,
        quantization_config=dict(FP8, scale_fmt="ue8m0")), {"embed": 0.5}),
    # GigaChat 3: V3 without q_lora, values wider than keys, one group.
    "gigachat": (v3(
        q_lora_rank=None, qk_nope_head_dim=128, qk_rope_head_dim=64,
        v_head_dim=192, n_routed_experts=8, n_group=1, topk_group=1,
        rope_scaling=YARN), {}),
    # Moonlight: no YaRN, eps 1e-5, two shared experts, six of the experts.
    "moonlight": (v3(
        q_lora_rank=None, qk_nope_head_dim=128, qk_rope_head_dim=64,
        v_head_dim=128, n_group=1, topk_group=1, num_experts_per_tok=6,
        n_shared_experts=2, routed_scaling_factor=2.446, rms_norm_eps=1e-5,
        rope_theta=50000.0), {}),
    # GLM-4.7-Flash: its head widths, a number of heads that no tile divides.
    "glm-flash": (glm_flash(), {}),
    # Latents of 1e-3: the inner norms keep 1e-6 where rms_norm_eps is 1e-5.
    "glm-flash-eps": (glm_flash(
        num_hidden_layers=2, mlp_layer_types=["dense", "sparse"]), {
            "embed": 0.1, "latent": 0.001}),
    # Youtu-LLM: dense, the embedding as head.
    "youtu": (youtu(), {"embed": 0.1}),
    # V3.2 and GLM-5: dense attention up to index_topk tokens, which no prompt
    # of these exceeds; the indexers' tensors are in the files.
    "v32": (v3(
        architectures=["DeepseekV32ForCausalLM"], model_type="deepseek_v32",
        rope_scaling=YARN, **indexed()), {}),
    "glm5": (v3(
        architectures=["GlmMoeDsaForCausalLM"], model_type="glm_moe_dsa",
        num_attention_heads=2, num_key_value_heads=2, n_group=1, topk_group=1,
        rms_norm_eps=1e-5, rope_theta=1000000, head_dim=64,
        indexer_types=["full", "full", "shared"],
        mlp_layer_types=["dense", "sparse", "sparse"],
        **indexed(qk_nope_head_dim=192, v_head_dim=256)), {}),
    # FP8 where a scale block spans W_UK and W_UV: 320 and 448 rows a head.
    "gigachat-fp8": (v3(
        num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
        qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=192,
        q_lora_rank=None, quantization_config=FP8), {}),
    "glm-flash-fp8": (glm_flash(
        num_hidden_layers=2, mlp_layer_types=["dense", "sparse"],
        num_attention_heads=3, num_key_value_heads=3, quantization_config=FP8), {}),
    # 64 layers, as many as GigaChat 3 702B has: layer 61, where other models
    # keep their prediction layer, is one of them, and the file holds a layer 64.
    "deep": (v3(
        vocab_size=64, hidden_size=64, intermediate_size=64,
        moe_intermediate_size=32, num_hidden_layers=64, first_k_dense_replace=62,
        num_attention_heads=2, num_key_value_heads=2, q_lora_rank=None,
        kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=24,
        n_routed_experts=8, n_group=1, topk_group=1,
        num_nextn_predict_layers=1), {"branch": 0.4}),
}


def kimi(**changes):
    """Returns a small configuration of Kimi K2's line with `changes` applied."""
    return v3(**dict(dict(
        model_type="kimi_k2", n_routed_experts=12, n_group=1, topk_group=1,
        num_experts_per_tok=3, routed_scaling_factor=2.827, rms_norm_eps=1e-5,
        rope_theta=50000, rope_scaling=dict(YARN, factor=64, beta_slow=1),
        max_position_embeddings=4096, quantization_config=INT4), **changes))


# Experts of four-bit codes. `kimi-k2` has widths in the proportions of K2, whose
# down projection reads a number of groups that is no multiple of 128 / 32; in
# `kimi-packed` every linear but kv_b_proj is packed: dense, segments and stacks.
PACKED = {
    "kimi-k2": (kimi(moe_intermediate_size=160), {}),
    "kimi-packed": (kimi(
        quantization_config=dict(INT4, ignore=["lm_head", "re:.*kv_b_proj.*"])), {}),
}


def split(**changes):
    """Returns a V3 configuration whose heads ranks can split.

    Two heads are whole scale blocks of q_b_proj, kv_b_proj and o_proj, and each is
    one activation group of o_proj.
    """
    return v3(**dict(
        dict(num_attention_heads=8, num_key_value_heads=8, qk_nope_head_dim=64,
             qk_rope_head_dim=64, v_head_dim=128, n_routed_experts=32, n_group=8,
             topk_group=4), **changes))


# `-layer` has one layer, whose input is what the embedding gives.
SPLIT = {}
for suffix, more in (("", {}), ("-fp8", dict(quantization_config=FP8))):
    SPLIT["v3-tp" + suffix] = (split(**more), {"branch": 0.5})
    SPLIT["v3-tp-layer" + suffix] = (split(
        num_hidden_layers=1, first_k_dense_replace=0, **more), {})


# Read with more tokens than index_topk, where the indexer leaves one out: what
# transformers computes there is not what the oracle and the tools compute.
BEYOND = {
    "v32-short": (v3(
        architectures=["DeepseekV32ForCausalLM"], model_type="deepseek_v32",
        num_hidden_layers=2, **indexed(index_topk=32)), {}),
}


# With a layer of multi-token prediction: as V3 has it, with no width that is a
# multiple of 16, in FP8 (eh_proj is not), behind a dense model, with the embedding
# as head.
DRAFTS = {
    "mtp": (v3(rope_scaling=YARN, num_nextn_predict_layers=1), {}),
    "mtp-odd": (dict(CONFIGS["v3-odd"][0], num_nextn_predict_layers=1), {}),
    "mtp-fp8": (dict(CONFIGS["v3-fp8"][0], num_nextn_predict_layers=1), {}),
    "mtp-dense": (dict(
        CONFIGS["dense"][0], first_k_dense_replace=3,
        num_nextn_predict_layers=1), {}),
    "mtp-tied": (v3(
        tie_word_embeddings=True, num_hidden_layers=2, first_k_dense_replace=0,
        num_nextn_predict_layers=1), {"embed": 0.1}),
}


def find(name):
    """Returns (config, make) of configuration `name`."""
    return {**CONFIGS, **SPLIT, **BEYOND, **PACKED, **DRAFTS}[name]


def seed_of(name):
    """Returns the seed of a configuration: a hash of its name that is fixed."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def part_ties(tensors, config):
    """Moves embedding values that would tie in the first FP8 activation group.

    The first layer's input is bf16 embedding * bf16 norm weight / rms, and its
    scale is the largest of a group: the rms cancels, what is rounded to e4m3 is a
    quotient of 16-bit numbers, and about one row in three holds an exact tie.
    Float32 kernels and the oracle then round it either way, both rightly. Here
    such a value moves by one bf16 step until no quotient lies within 1e-4 of the
    middle between two codes.
    """
    codes = tensors["model.embed_tokens.weight"][1]
    weight = formats.from_bf16(tensors["model.layers.0.input_layernorm.weight"][1])
    grid = np.sort(np.abs(formats.E4M3[:127].astype(np.float64)))
    middles = (grid[1:] + grid[:-1]) / 2
    for start in range(0, config["hidden_size"], formats.BLOCK):
        part = np.s_[:, start : start + formats.BLOCK]
        while True:
            x = np.abs(formats.from_bf16(codes[part]).astype(np.float64)
                       * weight[start : start + formats.BLOCK])
            largest = np.maximum(x.max(-1, keepdims=True), 1e-30)
            quotient = 448 * x / largest
            at = np.clip(np.searchsorted(middles, quotient), 1, len(middles) - 1)
            near = np.minimum(np.abs(quotient / middles[at - 1] - 1),
                              np.abs(quotient / middles[at] - 1)) < 1e-4
            if not near.any():
                break
            codes[part] -= near.astype(np.uint16)  # towards zero


def is_dense(config, layer):
    """Whether the FFN of `layer` is no mixture of experts."""
    if "mlp_layer_types" in config:
        return config["mlp_layer_types"][layer:layer + 1] == ["dense"]
    return (not config.get("n_routed_experts")
            or layer < config["first_k_dense_replace"]
            or layer % config.get("moe_layer_freq", 1) != 0)


def make_tensors(name):
    """Returns {tensor: (dtype, array)} of configuration `name`."""
    config, make = find(name)
    rng = formats.Random(seed_of(name))
    quantized = config.get("quantization_config")
    int4 = quantized and quantized["quant_method"] == "compressed-tensors"
    fp8 = None if int4 else quantized
    ue8m0 = bool(fp8) and fp8.get("scale_fmt") == "ue8m0"
    tensors = {}

    def linear(tensor, out, inner, gain=1.0):
        weight = rng.normal((out, inner), gain / math.sqrt(inner))
        if int4 and not any(
                re.match(p[3:], tensor) for p in quantized["ignore"] if p[:3] == "re:"):
            # Groups of unlike magnitude, as the blocks below.
            wide = np.repeat(rng.uniform((out, inner // 32), 0.5, 1.5), 32, 1)
            codes, scales = formats.quantize_groups(weight * wide)
            stem = tensor[: -len("weight")]
            tensors[stem + "weight_packed"] = ("I32", formats.pack_words(codes))
            tensors[stem + "weight_scale"] = ("BF16", scales)
            tensors[stem + "weight_shape"] = ("I32", np.array([out, inner], np.int32))
            return
        if not fp8:
            tensors[tensor] = ("BF16", formats.to_bf16(weight))
            return
        # Blocks of unlike magnitude, or a reader that mixes up the scales of
        # two blocks would pass.
        grid = rng.uniform((-(-out // 128), -(-inner // 128)), 0.5, 1.5)
        wide = np.repeat(np.repeat(grid, 128, 0)[:out], 128, 1)[:, :inner]
        codes, scales = formats.quantize_blocks(weight * wide, ue8m0)
        if make.get("subnormal"):
            # The first block again with a scale 2^13 times as large: its codes
            # are small steps of 2^-9, most of them subnormal.
            block = np.s_[:128, :128]
            scales[0, 0] *= 2.0**13
            codes[block] = formats.to_e4m3((weight * wide)[block] / scales[0, 0])
        tensors[tensor] = ("F8_E4M3", codes)
        tensors[tensor + "_scale_inv"] = ("F32", scales)

    def norm(tensor, width):
        values = rng.uniform((width,), 0.7, 1.3)
        tensors[tensor] = ("BF16", formats.to_bf16(values))

    def mlp(stem, width):
        branch = make.get("branch", 1.0)
        linear(stem + ".gate_proj.weight", width, hidden, 1.5)
        linear(stem + ".up_proj.weight", width, hidden)
        linear(stem + ".down_proj.weight", hidden, width, branch)

    def indexer(stem):
        """Tensors that are in the files of DeepSeek-V3.2 and GLM-5."""
        width = config["index_head_dim"]
        linear(stem + "wq_b.weight", config["index_n_heads"] * width, q_rank)
        linear(stem + "wk.weight", width, hidden)
        norm(stem + "k_norm.weight", width)
        norm(stem + "k_norm.bias", width)
        weight = rng.normal((config["index_n_heads"], hidden), 0.1)
        tensors[stem + "weights_proj.weight"] = ("BF16", formats.to_bf16(weight))

    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    latent, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    nope, value = config["qk_nope_head_dim"], config["v_head_dim"]
    vocab, q_rank = config["vocab_size"], config["q_lora_rank"]
    embed = rng.normal((vocab, hidden), make.get("embed", 1.0))
    if config["tie_word_embeddings"]:
        embed[:2] = 0
    tensors["model.embed_tokens.weight"] = ("BF16", formats.to_bf16(embed))
    layers = config["num_hidden_layers"]
    # Those that predict several tokens follow the main ones.
    for layer in range(layers + config.get("num_nextn_predict_layers", 0)):
        at = f"model.layers.{layer}."
        if layer >= layers:
            norm(at + "enorm.weight", hidden)
            norm(at + "hnorm.weight", hidden)
            eh = rng.normal((hidden, 2 * hidden), 1 / math.sqrt(2 * hidden))
            tensors[at + "eh_proj.weight"] = ("BF16", formats.to_bf16(eh))
            norm(at + "shared_head.norm.weight", hidden)
            embedding = tensors["model.embed_tokens.weight"]
            tensors[at + "embed_tokens.weight"] = embedding
        norm(at + "input_layernorm.weight", hidden)
        attn = at + "self_attn."
        small = make.get("latent", 1.0)
        if q_rank is None:
            linear(attn + "q_proj.weight", heads * (nope + rope), hidden, 0.8)
        else:
            linear(attn + "q_a_proj.weight", q_rank, hidden, small)
            norm(attn + "q_a_layernorm.weight", q_rank)
            linear(attn + "q_b_proj.weight", heads * (nope + rope), q_rank, 0.8)
        linear(attn + "kv_a_proj_with_mqa.weight", latent + rope, hidden, small)
        norm(attn + "kv_a_layernorm.weight", latent)
        linear(attn + "kv_b_proj.weight", heads * (nope + value), latent)
        linear(attn + "o_proj.weight", hidden, heads * value,
               make.get("branch", 1.0))
        norm(at + "post_attention_layernorm.weight", hidden)
        kinds = config.get("indexer_types")
        if "index_topk" in config and (not kinds or kinds[layer] == "full"):
            indexer(attn + "indexer.")
        if is_dense(config, layer):
            mlp(at + "mlp", config["intermediate_size"])
            continue
        experts = config["n_routed_experts"]
        router = rng.normal((experts, hidden), 3.0 / math.sqrt(hidden))
        tensors[at + "mlp.gate.weight"] = ("BF16", formats.to_bf16(router))
        if config.get("topk_method") == "noaux_tc":
            low, step = make.get("bias", (2.0, 0.02))
            order = np.argsort(rng.uniform((experts,)), kind="stable")
            bias = (low + step * order).astype(np.float32)
            tensors[at + "mlp.gate.e_score_correction_bias"] = ("F32", bias)
        width = config["moe_intermediate_size"]
        for expert in range(experts):
            mlp(f"{at}mlp.experts.{expert}", width)
        mlp(at + "mlp.shared_experts", width * config["n_shared_experts"])
    norm("model.norm.weight", hidden)
    if not config["tie_word_embeddings"]:
        head = rng.normal((vocab, hidden), 2.0 / math.sqrt(hidden))
        head[:2] = 0
        tensors["lm_head.weight"] = ("BF16", formats.to_bf16(head))
    for layer in range(layers, layers + config.get("num_nextn_predict_layers", 0)):
        tensors[f"model.layers.{layer}.shared_head.head.weight"] = tensors.get(
            "lm_head.weight", tensors["model.embed_tokens.weight"])
    if fp8 and not ue8m0:
        part_ties(tensors, config)
    return tensors


def prompt_ids(name, count, index=0):
    """Returns `count` token ids for `name`, the `index`-th such prompt.

    The first id is BOS, none is EOS.
    """
    config, _ = find(name)
    rng = formats.Random(seed_of(name) ^ 0x5EED ^ (index << 32))
    return [0] + rng.integers(count - 1, 2, config["vocab_size"])


def write(name, out):
    """Writes the checkpoint `name` to out/name; returns that directory."""
    directory = os.path.join(out, name)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(find(name)[0], file, indent=2)
        file.write("\n")
    formats.write_safetensors(
        os.path.join(directory, "model.safetensors"), make_tensors(name))
    return directory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    known = [*CONFIGS, *SPLIT, *BEYOND, *PACKED]
    unknown = set(args.names) - set(known)
    if unknown:
        parser.error(f"unknown: {sorted(unknown)}; see --list")
    if args.list:
        print("\n".join(known))
        return
    if not args.out:
        parser.error("--out is needed")
    for name in args.names or known:
        print(write(name, args.out))


if __name__ == "__main__":
    main()
