"""Tests oracle.py on the golden values of the model's definition."""

import json
import os
import unittest

import numpy as np
import oracle

HERE = os.path.dirname(os.path.abspath(__file__))


def published(name):
    with open(os.path.join(HERE, "../../models", name, "config.json")) as file:
        return json.load(file)


class Rope(unittest.TestCase):
    def test_yarn_frequencies_of_v3(self):
        inverse, magnitude, scale = oracle.rope_tables(published("deepseek-v3"))
        expected = {
            0: 1.0, 1: 0.749894202, 9: 0.0749894157, 10: 0.0562341288,
            11: 0.0390069255, 12: 0.0268793618, 16: 0.00549999988,
            22: 1.77827943e-4, 23: 3.33380362e-5, 31: 3.33380376e-6}
        for index, value in expected.items():
            self.assertAlmostEqual(inverse[index] / value, 1, delta=3e-7)
        self.assertEqual(magnitude, 1.0)
        self.assertAlmostEqual(scale, 0.1352337789, places=10)

    def test_softmax_scales(self):
        for name, value in (
                ("deepseek-v3.1", 0.1352337789), ("deepseek-v2-lite", 0.1147213868),
                ("deepseek-v2", 0.1147213868), ("kimi-k2", 0.1308608000)):
            self.assertAlmostEqual(
                oracle.rope_tables(published(name))[2], value, places=9)

    def test_kimi_step(self):
        config = published("kimi-k2")
        inverse = oracle.rope_tables(config)[0]
        plain = oracle.rope_tables(dict(config, rope_scaling=None))[0]
        ratio = plain / inverse
        self.assertTrue(np.allclose(ratio[:20], 1, rtol=1e-6))
        self.assertTrue(np.allclose(ratio[20:], 32, rtol=1e-6))

    def test_range_ignores_max_position(self):
        config = published("deepseek-v3")
        a = oracle.rope_tables(config)[0]
        b = oracle.rope_tables(dict(config, max_position_embeddings=4096))[0]
        self.assertTrue(np.array_equal(a, b))

    def test_rotation(self):
        config = published("deepseek-v3")
        x = np.arange(1, 65, dtype=np.float64)[None]
        at = np.array([7])
        inverse, magnitude, _ = oracle.rope_tables(config)
        y = oracle.rotate(x, at, inverse, magnitude)[0]
        self.assertTrue(np.allclose(y[:6], [
            -0.560071, 2.164791, 4.971602, -0.532144, 0.780178, -7.771185],
            atol=1e-5))
        self.assertTrue(np.allclose(y[20:26], [
            10.955775, 28.372011, 15.675888, 29.313248, 19.695543, 30.217306],
            atol=1e-5))
        self.assertTrue(np.allclose(y[62:], [62.998506, 64.001470], atol=1e-5))
        plain = oracle.rope_tables(dict(config, rope_scaling=None))[0]
        y = oracle.rotate(x, at, plain, 1.0)[0]
        self.assertTrue(np.allclose(y[22:26], [
            15.023132, 29.653086, 18.681539, 30.854499], atol=1e-5))
        self.assertTrue(np.allclose(y[62:], [62.940231, 64.058780], atol=1e-5))


class Router(unittest.TestCase):
    LOGITS = np.array([[1.2, -.3, .8, .5, 2.0, -1.0, -1.5, -.7,
                        .1, .9, 1.1, -2.0, -.4, .3, .6, .2]])
    BIAS = np.array([0, .1, -.05, 0, 0, 0, 0, 0, .2, 0, -.1, 0, .15, .1, 0, .05],
                    np.float32)
    V3 = dict(num_experts_per_tok=4, n_group=4, topk_group=2,
              topk_method="noaux_tc", scoring_func="sigmoid", norm_topk_prob=True,
              routed_scaling_factor=2.5)
    V2 = dict(V3, topk_method="group_limited_greedy", scoring_func="softmax",
              norm_topk_prob=False, routed_scaling_factor=16.0)

    def check(self, config, bias, ids, weights):
        found, w, margin = oracle.route(config, self.LOGITS, bias)
        self.assertEqual(found[0].tolist(), ids)
        self.assertTrue(np.allclose(w[0], weights, atol=2e-6), w)
        return margin[0]

    def test_v3(self):
        margin = self.check(self.V3, self.BIAS, [0, 8, 9, 10],
                            [0.697463, 0.476437, 0.645212, 0.680888])
        # Groups: 1.408499 kept, 1.320099 rejected; experts: 0.650260 (10),
        # 0.639974 (2) rejected.
        self.assertAlmostEqual(margin, 0.650260 - 0.639974, places=5)

    def test_v3_with_negative_biases(self):
        self.check(self.V3, self.BIAS - np.float32(3), [0, 8, 9, 10],
                   [0.697463, 0.476437, 0.645212, 0.680888])

    def test_v2(self):
        self.check(self.V2, None, [0, 2, 3, 4],
                   [1.885103, 1.263622, 0.936114, 4.195374])

    def test_ties_take_the_smaller_id(self):
        found = oracle.route(self.V3, np.zeros((1, 16)), np.zeros(16, np.float32))
        self.assertEqual(found[0][0].tolist(), [0, 1, 2, 3])
        self.assertEqual(found[2][0], 0)

    def test_bias_of_five_a_thousandth_apart(self):
        bias = (5 + 1e-3 * np.arange(16)).astype(np.float32)
        config = dict(self.V3, n_group=1)
        found = oracle.route(config, np.zeros((1, 16)), bias)[0]
        self.assertEqual(found[0].tolist(), [12, 13, 14, 15])

    def test_nothing_rejected_is_an_infinite_margin(self):
        config = dict(self.V3, n_group=1, num_experts_per_tok=16)
        self.assertEqual(oracle.route(config, self.LOGITS, self.BIAS)[2][0], np.inf)


class Weights(unittest.TestCase):
    def test_all_experts_alike_give_route_scale_times_one(self):
        import make_configs

        tensors = make_configs.make_tensors("v3")
        at = "model.layers.1.mlp."
        for name in list(tensors):
            if name.startswith(at + "experts."):
                stem = name.split(".", 6)[6]
                tensors[name] = tensors[f"{at}experts.0.{stem}"]
        model = oracle.Oracle(make_configs.CONFIGS["v3"][0], tensors)
        model.loads = []
        x = make_configs.formats.Random(3).normal((5, 256))
        total = model.moe(at, x)[0] - model.mlp(at + "shared_experts", x)
        self.assertTrue(np.allclose(total, 2.5 * model.mlp(at + "experts.0", x)))


if __name__ == "__main__":
    unittest.main()
