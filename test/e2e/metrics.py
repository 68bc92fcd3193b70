"""The distances that the end-to-end tests bound."""

import numpy as np


def one_minus_cos(a, b):
    """Returns 1 - cos of the rows of a and b [T, V], in float64.

    Formed from the difference of the unit rows, which keeps digits where the
    textbook formula would subtract two numbers near 1. Two rows of zeros are
    equal; any other row that is zero or not finite counts as 2.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    la = np.linalg.norm(a, axis=-1, keepdims=True)
    lb = np.linalg.norm(b, axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        distance = 0.5 * ((a / la - b / lb) ** 2).sum(-1)
    good = np.isfinite(distance) & (la[..., 0] > 0) & (lb[..., 0] > 0)
    zero = (la[..., 0] == 0) & (lb[..., 0] == 0)
    return np.where(zero, 0.0, np.where(good, distance, 2.0))


def relative_error(actual, expected):
    """Returns max |difference| of each row over the largest |expected| of it;
    0 where both rows are zeros, inf where the quotient is no number."""
    actual = np.asarray(actual, np.float64)
    expected = np.asarray(expected, np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(actual - expected).max(-1) / np.abs(expected).max(-1)
    zero = np.abs(actual).max(-1) + np.abs(expected).max(-1) == 0
    return np.where(zero, 0.0, np.where(np.isfinite(error), error, np.inf))


def nats_per_token(logits, ids):
    """Returns the mean of -log p(ids[i+1]) under logits[i]."""
    top = logits.max(-1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(logits - top).sum(-1))
    rows = np.arange(len(ids) - 1)
    return (total[:-1] - logits[rows, ids[1:]]).mean()
