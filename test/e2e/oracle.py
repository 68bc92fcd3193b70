"""A float64 forward pass of the DeepSeek-V3 family, written for being read.

    oracle.py MODEL_DIR --input-ids 0,5,17 [--fp8 w8a8|w8a16] [--attention
              absorbed|expanded] [--activations f64|bf16] --output logits.npy

It shares nothing with the compiler or the runtime, and it covers what
transformers does not: FP8 activations (per row and group of 128, ue8m0 too),
weights with ragged blocks, both forms of latent attention.

Quantisation (`fp8`): a weight is code * scale, exactly. w8a16 leaves the inputs
alone. w8a8 quantises the input of every FP8 linear as formats.quantize_activations
does, in float32. The absorbed form has no kv_b linear: its two halves are used
as dequantised weights on unquantised inputs; the expanded form quantises the
latent like any other input.

Numbers are float64 throughout, but for rotary angles, which every reference
forms in float32 (inverse frequency, and its product with the position).
"""

import argparse
import math
import os
import sys

import numpy as np

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models"))
import formats


def rope_tables(config):
    """Returns (inverse frequencies float32 [R/2], factor of cos and sin,
    softmax scale) of a configuration."""
    width = config["qk_rope_head_dim"]
    rope = dict(config.get("rope_scaling") or config.get("rope_parameters") or {})
    base = config.get("rope_theta", rope.get("rope_theta", 10000.0))
    pairs = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    inverse = (np.float32(1) / np.float32(base) ** pairs).astype(np.float32)
    scale = (config["qk_nope_head_dim"] + width) ** -0.5
    if rope.get("type", rope.get("rope_type", "default")) == "default":
        return inverse, 1.0, scale

    factor = rope["factor"]

    def correction(rotations):
        length = rope["original_max_position_embeddings"]
        return (width * math.log(length / (rotations * 2 * math.pi))
                / (2 * math.log(base)))

    low = max(math.floor(correction(rope.get("beta_fast") or 32)), 0)
    high = min(math.ceil(correction(rope.get("beta_slow") or 1)), width - 1)
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(width // 2) - low) / (high - low), 0, 1)
    ramp = ramp.astype(np.float32)
    inverse = inverse / np.float32(factor) * ramp + inverse * (1 - ramp)

    def correct(mscale):
        return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0

    all_dim = rope.get("mscale_all_dim")
    if rope.get("attention_factor") is not None:
        magnitude = rope["attention_factor"]
    elif rope.get("mscale") and all_dim:
        magnitude = correct(rope["mscale"]) / correct(all_dim)
    else:
        magnitude = correct(1.0)
    if all_dim:
        scale *= correct(all_dim) ** 2
    return inverse.astype(np.float32), magnitude, scale


def rotate(x, positions, inverse, magnitude):
    """Rotates the pairs (2i, 2i+1) of x [T, .., R] by their row's position."""
    angle = positions.astype(np.float32)[:, None] * inverse
    angle = angle.reshape(len(positions), *[1] * (x.ndim - 2), -1).astype(np.float64)
    cos, sin = np.cos(angle) * magnitude, np.sin(angle) * magnitude
    out = np.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return out


def descending(values):
    """Returns indices by falling value, then rising index, along the last axis.

    NaN comes first, as in torch.topk.
    """
    key = np.where(np.isnan(values), -np.inf, -values)
    return np.argsort(key, axis=-1, kind="stable")


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def route(config, logits, bias):
    """Chooses experts for each row of `logits` [T, E].

    Returns (ids [T, k] rising, weights [T, k], margin [T]): the margin is the
    smallest gap between a last chosen and a first rejected group or expert, of
    biased scores for the sigmoid router, of logits for the softmax one; inf
    where nothing was rejected.
    """
    rows, experts = logits.shape
    keep_experts = config["num_experts_per_tok"]
    groups = config.get("n_group") or 1
    method = config.get("topk_method", "greedy")
    if method == "greedy":
        groups = 1
    # GLM-4.7-Flash names none; its class has the sigmoid.
    default = "sigmoid" if config.get("model_type") == "glm4_moe_lite" else "softmax"
    if config.get("scoring_func", default) == "sigmoid":
        scores = sigmoid(logits)
        choice = scores + (0 if bias is None else bias.astype(np.float64))
        ranked = choice
    else:
        e = np.exp(logits - logits.max(-1, keepdims=True))
        scores = choice = e / e.sum(-1, keepdims=True)
        ranked = logits
    margin = np.full(rows, np.inf)
    allowed = np.ones((rows, experts), bool)
    if groups > 1:
        keep = config["topk_group"]

        def of_group(values):
            best = np.sort(values.reshape(rows, groups, -1), -1)[..., ::-1]
            return best[..., :2].sum(-1) if bias is not None else best[..., 0]

        order = descending(of_group(choice))
        by_rank = np.take_along_axis(of_group(ranked), order, -1)
        if keep < groups:
            margin = by_rank[:, keep - 1] - by_rank[:, keep]
        kept = np.zeros((rows, groups), bool)
        np.put_along_axis(kept, order[:, :keep], True, -1)
        allowed = np.repeat(kept, experts // groups, 1)
    order = descending(np.where(allowed, choice, -np.inf))
    by_rank = np.take_along_axis(np.where(allowed, ranked, -np.inf), order, -1)
    if keep_experts < experts:
        margin = np.minimum(
            margin, by_rank[:, keep_experts - 1] - by_rank[:, keep_experts])
    ids = np.sort(order[:, :keep_experts], -1)
    weights = np.take_along_axis(scores, ids, -1)
    if config.get("norm_topk_prob"):
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20)
    return ids, weights * config.get("routed_scaling_factor", 1.0), margin


class Oracle:
    """One model, ready to run.

    fp8: "w8a16" or "w8a8"; no effect on tensors that are not FP8.
    attention: "expanded" or "absorbed".
    activations: "f64", or "bf16" to round what a kernel stores: the residual
    stream, the normed rows, the outputs of linear layers, q after its rotation,
    the cached latent and rotary key, P, and the outputs of attention and of the
    gated product. Scores, router, sums over experts and logits are not rounded;
    a norm sees the unrounded sum of a residual and its addend, and quantisation
    sees unrounded rows where the producer is a norm, the gated product, or the
    attention (absorbed: W_UV) with heads of whole groups of 128.
    bf16_kv_b: a quantised kv_b_proj is dequantised to bf16 and multiplies
    unquantised rows, as on a GPU.
    inner_eps: epsilon of q_a_layernorm and kv_a_layernorm; the reference
    classes build them with 1e-6 whatever rms_norm_eps says.
    """

    def __init__(self, config, tensors, fp8="w8a16", attention="expanded",
                 activations="f64", inner_eps=1e-6, bf16_kv_b=False):
        self.bf16_kv_b, self.activations = bf16_kv_b, activations
        self.config, self.tensors, self.mode = config, tensors, fp8
        self.attention, self.inner_eps = attention, inner_eps
        self.store = formats.round_bf16 if activations == "bf16" else lambda x: x
        quantization = config.get("quantization_config") or {}
        self.ue8m0 = quantization.get("scale_fmt") == "ue8m0"
        self.inverse, self.magnitude, self.scale = rope_tables(config)
        self.cache = {}

    def tensor(self, name):
        """Returns the values of a tensor in float64."""
        if name not in self.cache:
            packed = name[: -len("weight")] + "weight_packed"
            dtype, array = self.tensors[packed if packed in self.tensors else name]
            if dtype == "I32":
                scales = self.tensors[packed.replace("_packed", "_scale")][1]
                array = formats.dequantize_words(array, scales)
            elif dtype == "BF16":
                array = formats.from_bf16(array)
            elif dtype == "F8_E4M3":
                array = formats.dequantize_blocks(
                    array, self.tensors[name + "_scale_inv"][1])
                if self.bf16_kv_b and ".kv_b_proj." in name:
                    array = formats.round_bf16(array)
            self.cache[name] = array.astype(np.float64)
        return self.cache[name]

    def linear(self, name, x):
        """Returns x [.., K] times the transposed weight `name` [N, K]."""
        plain = self.bf16_kv_b and ".kv_b_proj." in name
        if (self.mode == "w8a8" and name in self.tensors
                and self.tensors[name][0] == "F8_E4M3" and not plain):
            codes, scales = formats.quantize_activations(x, self.ue8m0)
            wide = np.repeat(scales, formats.BLOCK, -1)[..., : x.shape[-1]]
            x = formats.E4M3[codes].astype(np.float64) * wide.astype(np.float64)
        return x @ self.tensor(name).T

    def norm(self, name, x, eps):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * self.tensor(name)

    def mlp(self, stem, x):
        gate = self.linear(stem + ".gate_proj.weight", x)
        up = self.linear(stem + ".up_proj.weight", x)
        middle = self.stored(gate * sigmoid(gate) * up)
        return self.linear(stem + ".down_proj.weight", middle)

    def stored(self, x):
        """Rounds a row that a quantising linear or nobody else reads."""
        return x if self.mode == "w8a8" else self.store(x)

    def attend(self, at, x, positions, past):
        """Latent attention of the normed rows x; returns its output [T, D].

        `past` is (latents, rotary keys, positions) of the layer's earlier rows,
        or None; self.kept receives the same with these rows appended.
        """
        config, rows = self.config, len(x)
        heads, nope = config["num_attention_heads"], config["qk_nope_head_dim"]
        latent_width, value = config["kv_lora_rank"], config["v_head_dim"]
        if config.get("q_lora_rank") is None:
            q = self.linear(at + "q_proj.weight", x)
        else:
            low = self.store(self.linear(at + "q_a_proj.weight", x))
            low = self.norm(at + "q_a_layernorm.weight", low, self.inner_eps)
            q = self.linear(at + "q_b_proj.weight", self.stored(low))
        q = q.reshape(rows, heads, -1)
        q_nope = self.store(q[..., :nope])
        q_rope = self.store(
            rotate(q[..., nope:], positions, self.inverse, self.magnitude))
        both = self.store(self.linear(at + "kv_a_proj_with_mqa.weight", x))
        latent = self.store(self.norm(
            at + "kv_a_layernorm.weight", both[:, :latent_width], self.inner_eps))
        key = self.store(rotate(
            both[:, latent_width:], positions, self.inverse, self.magnitude))
        keys_at = positions
        if past is not None:
            latent = np.concatenate([past[0], latent])
            key = np.concatenate([past[1], key])
            keys_at = np.concatenate([past[2], positions])
        self.kept = (latent, key, keys_at)

        up = at + "kv_b_proj.weight"
        if self.attention == "absorbed":
            halves = self.tensor(up).reshape(heads, nope + value, latent_width)
            w_uk, w_uv = halves[:, :nope], halves[:, nope:]
            q_latent = self.store(np.einsum("thd,hdc->thc", q_nope, w_uk))
            scores = np.einsum("thc,sc->hts", q_latent, latent)
        else:
            kv = self.store(self.linear(up, latent))
            kv = kv.reshape(len(latent), heads, nope + value)
            scores = np.einsum("thd,shd->hts", q_nope, kv[..., :nope])
        scores += np.einsum("thr,sr->hts", q_rope, key)
        scores *= self.scale
        scores[:, keys_at[None, :] > positions[:, None]] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p = self.store(p) / p.sum(-1, keepdims=True)
        if self.attention == "absorbed":
            out = self.store(np.einsum("hts,sc->thc", p, latent))
            out = np.einsum("thc,hdc->thd", out, w_uv)
        else:
            out = np.einsum("hts,shd->thd", p, kv[..., nope:])
        out = out.reshape(rows, heads * value)
        # Heads of whole scale groups are quantised where they are computed.
        whole = value % formats.BLOCK == 0
        out = self.stored(out) if whole else self.store(out)
        return self.store(self.linear(at + "o_proj.weight", out))

    def moe(self, at, x):
        """Returns (output [T, D], margin [T]) of a MoE layer's normed rows x."""
        name = at + "gate.e_score_correction_bias"
        bias = self.tensors[name][1] if name in self.tensors else None
        logits = self.store(x) @ self.tensor(at + "gate.weight").T
        ids, weights, margin = route(self.config, logits, bias)
        self.loads.append(np.bincount(ids.ravel(), minlength=logits.shape[1]))
        total = self.store(self.mlp(at + "shared_experts", x))
        for expert in np.unique(ids):
            row, slot = np.nonzero(ids == expert)
            out = self.store(self.mlp(f"{at}experts.{expert}", x[row]))
            total[row] += weights[row, slot, None] * out
        return total, margin

    def layer(self, index, h, positions, past=None):
        """Runs decoder layer `index` on the residual rows h [T, D].

        Returns (h [T, D], margin [T], cached rows); margin is inf if dense.
        """
        config, at = self.config, f"model.layers.{index}."
        eps = config["rms_norm_eps"]
        x = self.stored(self.norm(at + "input_layernorm.weight", h, eps))
        h = h + self.attend(at + "self_attn.", x, positions, past)
        kept = self.kept
        x = self.norm(at + "post_attention_layernorm.weight", h, eps)
        h = self.store(h)
        if at + "mlp.gate.weight" in self.tensors:
            out, margin = self.moe(at + "mlp.", self.stored(x))
        else:
            out = self.mlp(at + "mlp", self.stored(x))
            margin = np.full(len(h), np.inf)
        return self.store(h + out), margin, kept

    def run(self, ids, past=None, forced=None):
        """Runs rows `ids` (one sequence) after the cached rows `past`.

        forced: {layer: h [T, D]} replaces the input of a layer. Returns a dict:
        logits [T, V], hidden (list: the input of each layer, then of the final
        norm), margin [T], loads (per MoE layer, tokens of each expert), past.
        """
        start = 0 if past is None else len(past[0][2])
        positions = np.arange(start, start + len(ids))
        self.loads = []
        h = self.store(self.tensor("model.embed_tokens.weight")[list(ids)])
        hidden, caches, margin = [], [], np.full(len(ids), np.inf)
        for index in range(self.config["num_hidden_layers"]):
            h = h if forced is None or index not in forced else forced[index]
            hidden.append(h)
            h, gap, kept = self.layer(
                index, h, positions, None if past is None else past[index])
            margin = np.minimum(margin, gap)
            caches.append(kept)
        hidden.append(h)
        x = self.store(self.norm(
            "model.norm.weight", h, self.config["rms_norm_eps"]))
        tied = self.config.get("tie_word_embeddings")
        head = "model.embed_tokens.weight" if tied else "lm_head.weight"
        logits = x @ self.tensor(head).T
        return dict(logits=logits, hidden=hidden, margin=margin,
                    loads=self.loads, past=caches)

    def draft(self, ids, hidden, past=None, norm="model.norm.weight"):
        """Runs the layer of multi-token prediction (model-spec 4.3).

        hidden [T, D] is the residual stream behind the last layer, run()'s
        hidden[-1]; ids [T] is the token *after* that of each row. With norm
        self.draft_norm, hidden is what draft() returned. Returns a dict as run()
        does: logits [T, V] of the token after ids, hidden, margin, past.
        """
        at = f"model.layers.{self.config['num_hidden_layers']}."
        eps = self.config["rms_norm_eps"]
        start = 0 if past is None else len(past[2])
        self.loads = []
        embedding = self.tensor("model.embed_tokens.weight")[list(ids)]
        e = self.norm(at + "enorm.weight", embedding, eps)
        h = self.norm(at + "hnorm.weight", self.norm(norm, hidden, eps), eps)
        z = self.store(self.linear(
            at + "eh_proj.weight", self.store(self.draft_input(e, h))))
        u, margin, kept = self.layer(
            self.config["num_hidden_layers"], z,
            np.arange(start, start + len(ids)), past)
        x = self.store(self.norm(self.draft_norm, u, eps))
        tied = self.config.get("tie_word_embeddings")
        head = "model.embed_tokens.weight" if tied else "lm_head.weight"
        return dict(logits=x @ self.tensor(head).T, hidden=u, margin=margin,
                    past=kept)

    def draft_input(self, e, h):
        """Returns what eh_proj is fed: the embedding's half first."""
        return np.concatenate([e, h], -1)

    @property
    def draft_norm(self):
        layer = self.config["num_hidden_layers"]
        return f"model.layers.{layer}.shared_head.norm.weight"

    def greedy(self, ids, count):
        """Returns (`count` ids chosen greedily after `ids`, smallest gap between
        the two largest logits on the way)."""
        chosen, past, gap, step = [], None, np.inf, list(ids)
        for _ in range(count):
            result = self.run(step, past)
            past, row = result["past"], result["logits"][-1]
            best = descending(row)
            gap = min(gap, row[best[0]] - row[best[1]])
            step = [int(best[0])]
            chosen += step
        return chosen, gap


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--input-ids", required=True)
    parser.add_argument("--fp8", default="w8a8", choices=["w8a8", "w8a16"])
    parser.add_argument(
        "--attention", default="expanded", choices=["absorbed", "expanded"])
    parser.add_argument("--activations", default="f64", choices=["f64", "bf16"])
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    config, tensors = formats.read_checkpoint(args.model)
    oracle = Oracle(config, tensors, args.fp8, args.attention, args.activations)
    result = oracle.run([int(i) for i in args.input_ids.split(",")])
    np.save(args.output, result["logits"].astype(np.float32))
    print("smallest router margin", result["margin"].min())


if __name__ == "__main__":
    main()
