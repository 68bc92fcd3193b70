"""Which positions float32 arithmetic leaves open, by the oracle alone.

A kernel sums in float32 and in its own order. Where a value lies next to the
middle between two bf16 numbers, two e4m3 codes, or next to a tie of the router,
it may then round the other way than float64 does, and both are right. What that
does to a position is measured, not guessed: the oracle runs again with errors of
float32's size.
"""

import numpy as np
from metrics import one_minus_cos
from oracle import Oracle

# Of the root mean square of a row. Sums of a few hundred products in float32
# are off by about 1e-7 of it.
ERROR = 2e-7
DRAWS = 4


class Perturbed(Oracle):
    """The oracle with an error of `error` times the row's root mean square, of
    normal distribution, in everything that a linear layer or a norm returns and
    in what attention stores of each head (its query, P, its output)."""

    def __init__(self, *args, error, seed, **kwargs):
        super().__init__(*args, **kwargs)
        self.error, self.random = error, np.random.default_rng(seed)
        exact = self.store
        # Of attention, per head; rows of other layers come from linear and norm.
        self.store = lambda x: exact(self.disturb(x) if x.ndim == 3 else x)

    def disturb(self, x):
        size = np.sqrt((x * x).mean(-1, keepdims=True))
        return x + self.error * size * self.random.standard_normal(x.shape)

    def linear(self, name, x):
        return self.disturb(super().linear(name, x))

    def norm(self, name, x, eps):
        return self.disturb(super().norm(name, x, eps))


def moved(oracle, rows, want):
    """Returns how far the logits of each position move, as 1 - cos [positions],
    at most, over DRAWS draws of errors and their negatives.

    rows: prompts of `oracle`; want: its logits, all prompts joined.
    """
    most = np.zeros(len(want))
    for seed in range(DRAWS):
        for error in (ERROR, -ERROR):
            other = Perturbed(
                oracle.config, oracle.tensors, oracle.mode, oracle.attention,
                oracle.activations, oracle.inner_eps, oracle.bf16_kv_b,
                error=error, seed=seed)
            other.cache = oracle.cache  # the dequantised weights
            found = np.concatenate([other.run(row)["logits"] for row in rows])
            most = np.maximum(most, one_minus_cos(found, want))
    return most
