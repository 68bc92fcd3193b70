"""Shows that the end-to-end rows would catch the known mistakes.

    python3 test_mutants.py [-v]

First the oracle itself against the golden files; then one test a mistake: the
oracle is changed to make it, and the bounds of compare.py must reject it on the
configuration named. A mistake that passes means that a configuration is missing.
Needs numpy alone.
"""

import unittest
from unittest import mock

import compare
import formats
import make_configs
import numpy as np
import oracle
from metrics import one_minus_cos

Oracle, route, rope_tables = oracle.Oracle, oracle.route, oracle.rope_tables


class OracleTools:
    """Stands for the built tools in compare's checks; runs the oracle."""

    def logits(self, key, rows, chunk=None, threads=None, loads=None):
        name, attention, activations, fp8 = key
        model = Oracle(
            make_configs.CONFIGS[name][0], make_configs.make_tensors(name),
            fp8 or "w8a16", attention, "bf16" if activations == "bf16" else "f64")
        results = []
        for row in rows:
            past, parts = None, []
            for at in range(0, len(row), chunk or len(row)):
                result = model.run(row[at : at + (chunk or len(row))], past)
                past = result["past"]
                parts.append(result["logits"])
            results.append(np.concatenate(parts).astype(np.float32))
        return results


EXPECTED = compare.Expected()


def passes(name, attention="expanded", fp8=None):
    """Whether the rows of one configuration pass, f32 or FP8."""
    key = (name, attention, "f32", fp8)
    if fp8 == "w8a8":
        return compare.check_fp8(OracleTools(), EXPECTED, key)[0]
    return compare.check_golden(OracleTools(), key)[0]


class Unchanged(unittest.TestCase):
    def test_oracle_meets_every_golden_file(self):
        for name in make_configs.CONFIGS:
            for attention in ("expanded", "absorbed"):
                with self.subTest(name=name, attention=attention):
                    fp8 = "w8a16" if name.endswith("-fp8") else None
                    self.assertTrue(passes(name, attention, fp8))

    def test_chunks_and_batches(self):
        key = ("v3-odd", "absorbed", "f32", None)
        self.assertTrue(compare.check_chunks(OracleTools(), key, 7)[0])
        self.assertTrue(compare.check_batch(OracleTools(), key)[0])

    def test_half_the_rows_of_a_batch_swapped_is_seen(self):
        class Swapped(OracleTools):
            def logits(self, key, rows, chunk=None, threads=None, loads=None):
                found = super().logits(key, rows)
                return found if len(rows) == 1 else [
                    np.roll(r, 1, 0) for r in found]

        key = ("v3-odd", "absorbed", "f32", None)
        self.assertFalse(compare.check_batch(Swapped(), key)[0])


class Mutant(unittest.TestCase):
    """One mistake a test; the number is the row of the specification's table."""

    def rejected(self, name, attention="expanded", fp8=None, **patches):
        """Fails unless `name` is rejected with `patches` applied to the oracle."""
        if fp8 == "w8a8":  # what is expected must come from the unchanged oracle
            compare.check_fp8(OracleTools(), EXPECTED, (name, attention, "f32", fp8))
        with mock.patch.multiple(oracle, **patches):
            self.assertFalse(passes(name, attention, fp8))

    def rejected_method(self, name, method, attention="expanded", fp8=None):
        """The same with methods of the oracle replaced ({name: function})."""
        if fp8 == "w8a8":
            compare.check_fp8(OracleTools(), EXPECTED, (name, attention, "f32", fp8))
        with mock.patch.multiple(Oracle, **method):
            self.assertFalse(passes(name, attention, fp8))

    # ------------------------------------------------------------ router

    def test_01_bias_in_the_weights(self):
        def wrong(config, logits, bias):
            ids, _, margin = route(config, logits, bias)
            w = np.take_along_axis(oracle.sigmoid(logits) + bias, ids, -1)
            w *= config["routed_scaling_factor"] / w.sum(-1, keepdims=True)
            return ids, w, margin

        self.rejected("v3", route=wrong)

    def test_02_group_score_is_the_maximum(self):
        def wrong(config, logits, bias):
            # Lifts the best expert of a group beyond the sum's reach.
            rows, experts = logits.shape
            choice = oracle.sigmoid(logits) + bias
            best = choice.reshape(rows, config["n_group"], -1).max(-1)
            kept = np.argsort(-best, -1)[:, : config["topk_group"]]
            mask = np.zeros_like(best, bool)
            np.put_along_axis(mask, kept, True, -1)
            mask = np.repeat(mask, experts // config["n_group"], 1)
            plain = dict(config, n_group=1)
            ids, _, margin = route(
                plain, np.where(mask, logits, -1e4), bias)
            w = np.take_along_axis(oracle.sigmoid(logits), ids, -1)
            w *= config["routed_scaling_factor"] / w.sum(-1, keepdims=True)
            return ids, w, margin

        self.rejected("v3", route=wrong)

    def test_02_group_score_of_v2_is_the_sum_of_two(self):
        def wrong(config, logits, bias):
            return route(config, logits, np.zeros(logits.shape[1], np.float32))

        self.rejected("v2-groups", route=wrong)

    def test_03_excluded_experts_count_as_zero(self):
        def wrong(config, logits, bias):
            rows, experts = logits.shape
            groups = config["n_group"]
            scores = oracle.sigmoid(logits)
            choice = scores + bias
            top = np.sort(choice.reshape(rows, groups, -1), -1)[..., -2:].sum(-1)
            mask = np.zeros_like(top, bool)
            np.put_along_axis(
                mask, oracle.descending(top)[:, : config["topk_group"]], True, -1)
            choice = np.where(np.repeat(mask, experts // groups, 1), choice, 0)
            ids = oracle.descending(choice)[:, : config["num_experts_per_tok"]]
            w = np.take_along_axis(scores, ids, -1)
            w *= config["routed_scaling_factor"] / w.sum(-1, keepdims=True)
            return ids, w, np.full(rows, np.inf)

        self.rejected("v3-negative-bias", route=wrong)

    def test_04_bias_in_bf16(self):
        def wrong(config, logits, bias):
            return route(config, logits, formats.round_bf16(bias))

        self.rejected("kimi", route=wrong)

    def test_05_router_logits_in_bf16(self):
        def wrong(config, logits, bias):
            return route(config, formats.round_bf16(logits), bias)

        self.rejected("v3", route=wrong)

    def test_06_route_scale_missing_or_twice(self):
        for factor in (1, 2.5**2):
            def wrong(config, logits, bias, factor=factor):
                return route(
                    dict(config, routed_scaling_factor=factor), logits, bias)

            self.rejected("v3", route=wrong)

    def test_weights_renormalised_or_not(self):
        def flipped(config, logits, bias):
            flag = not config["norm_topk_prob"]
            return route(dict(config, norm_topk_prob=flag), logits, bias)

        self.rejected("v3", route=flipped)
        self.rejected("v2-lite", route=flipped)

    def test_groups_ignored(self):
        def wrong(config, logits, bias):
            return route(dict(config, n_group=1), logits, bias)

        self.rejected("v3", route=wrong)
        self.rejected("v2-groups", route=wrong)

    # ------------------------------------------------------------ rotary

    def rejected_tables(self, name, change):
        def wrong(config):
            return change(config, *rope_tables(config))

        self.rejected(name, rope_tables=wrong)

    def test_08_softmax_scale_without_m_squared(self):
        self.rejected_tables("v3", lambda c, f, m, s: (
            f, m, (c["qk_nope_head_dim"] + c["qk_rope_head_dim"]) ** -0.5))

    def test_09_mscale_for_mscale_all_dim(self):
        def wrong(config):
            rope = dict(config["rope_scaling"], mscale_all_dim=1.0)
            return rope_tables(dict(config, rope_scaling=rope))

        self.rejected("v3-odd", rope_tables=wrong)

    def test_09_cos_and_sin_not_scaled(self):
        self.rejected_tables("v3-odd", lambda c, f, m, s: (f, 1.0, s))
        self.rejected_tables("dense", lambda c, f, m, s: (f, 1.0, s))

    def test_10_yarn_range_from_max_position(self):
        def wrong(config):
            rope = dict(config["rope_scaling"], original_max_position_embeddings=(
                config["max_position_embeddings"]))
            return rope_tables(dict(config, rope_scaling=rope))

        self.rejected("v3", rope_tables=wrong)

    def test_11_yarn_off(self):
        self.rejected("v3", rope_tables=lambda c: rope_tables(
            dict(c, rope_scaling=None)))

    def test_12_beta_fast_ignored(self):
        def wrong(config):
            rope = dict(config["rope_scaling"], beta_fast=32)
            return rope_tables(dict(config, rope_scaling=rope))

        self.rejected("kimi", rope_tables=wrong)

    def test_13_half_split_rotation(self):
        def wrong(x, positions, inverse, magnitude):
            angle = positions[:, None] * inverse.astype(np.float64)
            angle = angle.reshape(len(positions), *[1] * (x.ndim - 2), -1)
            a, b = np.split(x, 2, -1)
            c, s = np.cos(angle) * magnitude, np.sin(angle) * magnitude
            return np.concatenate([a * c - b * s, a * s + b * c], -1)

        self.rejected("v3", rotate=wrong)

    def test_positions_start_at_one(self):
        # Attention sees differences of positions alone: what must be seen is a
        # cache and a query that count from different starts.
        rotate = oracle.rotate

        def wrong(x, positions, inverse, magnitude):
            return rotate(x, positions + (x.ndim == 3), inverse, magnitude)

        self.rejected("v3", rotate=wrong)

    # ------------------------------------------------------------ attention

    def test_17_rotary_key_normed_with_the_latent(self):
        linear = Oracle.linear

        def wrong(self, name, x):
            y = linear(self, name, x)
            if "kv_a_proj" in name:
                rank = self.config["kv_lora_rank"]
                size = np.sqrt((y * y).mean(-1, keepdims=True) + 1e-6)
                y[:, rank:] /= size
            return y

        self.rejected_method("v3", {"linear": wrong})

    def test_18_halves_of_kv_b_taken_for_all_heads_at_once(self):
        tensor = Oracle.tensor

        def wrong(self, name):
            value = tensor(self, name)
            if "kv_b_proj" not in name:
                return value
            config = self.config
            nope, v = config["qk_nope_head_dim"], config["v_head_dim"]
            heads = config["num_attention_heads"]
            split = value[: heads * nope].reshape(heads, nope, -1)
            rest = value[heads * nope :].reshape(heads, v, -1)
            return np.concatenate([split, rest], 1).reshape(value.shape)

        self.rejected_method("v3", {"tensor": wrong}, "absorbed")

    def test_20_softmax_scale_of_the_latent_width(self):
        self.rejected_tables("v3", lambda c, f, m, s: (
            f, m, (c["kv_lora_rank"] + c["qk_rope_head_dim"]) ** -0.5))

    def test_21_chunks_without_their_past(self):
        run = Oracle.run

        def wrong(self, ids, past=None, forced=None):
            found = run(self, ids, past, forced)
            return dict(found, past=None)

        with mock.patch.object(Oracle, "run", wrong):
            self.assertFalse(compare.check_chunks(
                OracleTools(), ("v3-odd", "absorbed", "f32", None), 7)[0])

    def test_38_inner_norms_with_rms_norm_eps(self):
        norm = Oracle.norm

        def wrong(self, name, x, eps):
            return norm(self, name, x, self.config["rms_norm_eps"])

        self.rejected_method("v3-eps", {"norm": wrong})

    def test_38_outer_norms_with_the_inner_eps(self):
        norm = Oracle.norm

        def wrong(self, name, x, eps):
            return norm(self, name, x, 1e-6)

        self.rejected_method("v3-eps", {"norm": wrong})

    def test_shared_expert_left_out(self):
        mlp = Oracle.mlp

        def wrong(self, stem, x):
            return mlp(self, stem, x) * (not stem.endswith("shared_experts"))

        self.rejected_method("v2-lite", {"mlp": wrong})

    # ------------------------------------------------------------ families

    def test_glm_flash_with_a_softmax(self):
        def wrong(config, logits, bias):
            return route(dict(config, scoring_func="softmax"), logits, bias)

        self.rejected("glm-flash", route=wrong)

    def test_inner_norms_of_glm_flash_with_its_eps(self):
        init = Oracle.__init__

        def wrong(self, *args, **kwargs):
            init(self, *args, **dict(kwargs, inner_eps=1e-5))

        for attention in ("expanded", "absorbed"):
            self.rejected_method("glm-flash-eps", {"__init__": wrong}, attention)

    def test_heads_of_keys_and_values_split_in_half(self):
        attend = Oracle.attend

        def wrong(self, at, x, positions, past):
            # W_UK and W_UV of each head as if they had the same height.
            config = self.config
            nope, value = config["qk_nope_head_dim"], config["v_head_dim"]
            name = at + "kv_b_proj.weight"
            kept = self.tensor(name)
            heads = kept.reshape(-1, nope + value, kept.shape[-1])
            half = (nope + value) // 2
            turned = np.roll(heads, nope - half, 1)
            self.cache[name] = turned.reshape(kept.shape)
            out = attend(self, at, x, positions, past)
            self.cache[name] = kept
            return out

        for name in ("gigachat", "glm-flash"):
            self.rejected_method(name, {"attend": wrong})

    def test_layer_61_taken_for_a_prediction_layer(self):
        layer = Oracle.layer

        def wrong(self, index, h, positions, past=None):
            out, margin, kept = layer(self, index, h, positions, past)
            return (h if index == 61 else out), margin, kept

        self.rejected_method("deep", {"layer": wrong})

    def test_scale_blocks_that_begin_anew_at_w_uv(self):
        tensor = Oracle.tensor

        def wrong(self, name):
            if ".kv_b_proj." not in name:
                return tensor(self, name)
            codes = self.tensors[name][1]
            scales = self.tensors[name + "_scale_inv"][1]
            nope = self.config["qk_nope_head_dim"]
            head = nope + self.config["v_head_dim"]
            row = np.arange(len(codes)) % head
            block = (np.arange(len(codes)) // head * -(-head // 128)
                     + np.where(row < nope, row // 128,
                                -(-nope // 128) + (row - nope) // 128))
            wide = np.repeat(scales[np.minimum(block, len(scales) - 1)], 128, 1)
            return (formats.E4M3[codes].astype(np.float64)
                    * wide[:, : codes.shape[1]])

        for name in ("gigachat-fp8", "glm-flash-fp8"):
            for attention in ("expanded", "absorbed"):
                self.rejected_method(name, {"tensor": wrong}, attention, "w8a16")

    def test_an_indexer_selects_beyond_index_topk(self):
        data = compare.golden("v32-short")
        model = Oracle(make_configs.find("v32-short")[0],
                       make_configs.make_tensors("v32-short"))
        distance = one_minus_cos(
            model.run(data["ids"].tolist())["logits"], data["logits"])
        self.assertLess(distance[:-1].max(), 1e-8)
        self.assertGreater(distance[-1], 1e-4)

    # ------------------------------------------------------------ FP8

    def rejected_weights(self, change):
        tensor = Oracle.tensor

        def wrong(self, name):
            dtype, codes = self.tensors[name]
            if dtype != "F8_E4M3":
                return tensor(self, name)
            scales = self.tensors[name + "_scale_inv"][1]
            return change(codes, scales).astype(np.float64)

        self.rejected_method("v3-odd-fp8", {"tensor": wrong}, fp8="w8a16")

    def test_22_scale_rounded_to_bf16(self):
        self.rejected_weights(lambda codes, scales: formats.dequantize_blocks(
            codes, formats.round_bf16(scales)))

    def test_23_divided_by_the_scale(self):
        self.rejected_weights(lambda codes, scales: formats.dequantize_blocks(
            codes, 1 / scales))

    def test_24_scale_grid_transposed_or_short(self):
        def short(codes, scales):
            rows = max(1, codes.shape[0] // 128)
            clipped = scales[np.minimum(np.arange(len(scales)), rows - 1)]
            return formats.dequantize_blocks(codes, clipped)

        self.rejected_weights(short)

    def test_31_subnormal_codes_lost(self):
        def flush(codes, scales):
            codes = np.where(codes & 0x78, codes, 0).astype(np.uint8)
            return formats.dequantize_blocks(codes, scales)

        self.rejected_weights(flush)

    def rejected_activations(self, name, quantize, attention="expanded"):
        compare.check_fp8(OracleTools(), EXPECTED, (name, attention, "f32", "w8a8"))
        with mock.patch.object(formats, "quantize_activations", quantize):
            self.assertFalse(passes(name, attention, "w8a8"))

    def test_27_exact_scale_where_ue8m0_is_asked_for(self):
        right = formats.quantize_activations
        self.rejected_activations("layer-ue8m0-fp8", lambda x, ue8m0: right(x, False))

    def test_27_codes_of_the_exact_scale_under_the_rounded_one(self):
        right = formats.quantize_activations

        def wrong(x, ue8m0):
            return right(x, False)[0], right(x, True)[1]

        self.rejected_activations("layer-ue8m0-fp8", wrong)

    def test_33_one_scale_for_a_row(self):
        right = formats.quantize_activations

        def wrong(x, ue8m0):
            scales = right(x, ue8m0)[1]
            scales = np.broadcast_to(scales.max(-1, keepdims=True), scales.shape)
            wide = np.repeat(scales, 128, -1)[..., : x.shape[-1]]
            return formats.to_e4m3(np.float32(x) / wide), scales

        self.rejected_activations("layer-moe-fp8", wrong)

    def test_activations_left_alone(self):
        linear = Oracle.linear

        def wrong(self, name, x):
            mode, self.mode = self.mode, "w8a16"
            y = linear(self, name, x)
            self.mode = mode
            return y

        for name in ("layer-dense-fp8", "v3-odd-fp8"):
            self.rejected_method(name, {"linear": wrong}, fp8="w8a8")

    def test_one_linear_left_alone(self):
        linear = Oracle.linear
        for part in ("q_a_proj", "q_b_proj", "kv_a_proj", "kv_b_proj", "o_proj",
                     "experts.3.down_proj", "experts.3.up_proj",
                     "shared_experts.gate_proj"):
            def wrong(self, name, x, part=part):
                mode = self.mode
                self.mode = "w8a16" if part in name else mode
                y = linear(self, name, x)
                self.mode = mode
                return y

            with self.subTest(part=part):
                self.rejected_method("layer-moe-fp8", {"linear": wrong}, fp8="w8a8")

    def test_absorbed_form_quantises_the_latent(self):
        run = EXPECTED.run("layer-dense-fp8", "w8a8", "absorbed", [0, 5, 9, 4])
        other = EXPECTED.run("layer-dense-fp8", "w8a8", "expanded", [0, 5, 9, 4])
        # The two forms differ by more than the bound of one layer.
        self.assertGreater(
            np.median(one_minus_cos(run["logits"], other["logits"])), 1e-5)


if __name__ == "__main__":
    unittest.main()
