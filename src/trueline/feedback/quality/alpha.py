"""Krippendorff's alpha (2011): 1 is full agreement, 0 is chance; each item weighs as many as it has votes.

alpha = 1 − D_o / D_e, with D_o the mean squared distance of two votes of one item and D_e that of any two votes.
A sum over items of a few numbers each is enough for it: one row of `parts` an item, by level of measurement.

Letters: u items with two or more votes, n their votes, k values, m votes of an item, q numbers an item, r resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trueline.feedback.quality.interval import Interval, resampled_sums
from trueline.feedback.quality.votes import Coded, Value, Vote, coded

Level = Literal["nominal", "ordinal", "interval"]
MOST_STEPS = 30


@dataclass(frozen=True)
class Measure:
    """parts: votes to (u, q), one row an item; alpha: (r, q) sums of such rows to (r,), nan where all votes are one."""

    parts: Callable[[Coded], np.ndarray]
    alpha: Callable[[np.ndarray], np.ndarray]


def alpha(votes: Sequence[Vote], level: Level = "nominal", order: Sequence[Value] | None = None) -> float:
    """nan where no item has two votes, or all votes are one; order: see `coded`; ordinal words need it."""
    measure, parts = LEVELS[level], _parts(votes, level, order)
    return float(measure.alpha(parts.sum(0)[None])[0]) if len(parts) else float("nan")


def alpha_interval(
    votes: Sequence[Vote],
    level: Level = "nominal",
    order: Sequence[Value] | None = None,
    resamples: int = 1_000,
    seed: int = 0,
) -> Interval | None:
    """The same with its percentile bootstrap interval by item, n items; None where alpha is not defined."""
    measure, parts = LEVELS[level], _parts(votes, level, order)
    value = float(measure.alpha(parts.sum(0)[None])[0]) if len(parts) else float("nan")
    if np.isnan(value):
        return None
    drawn = measure.alpha(resampled_sums(parts, resamples, seed))
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (value, value)
    return Interval(value, float(low), float(high), len(parts))


def _parts(votes: Sequence[Vote], level: Level, order: Sequence[Value] | None) -> np.ndarray:
    c = coded(votes, order)
    if level == "ordinal" and order is None and not c.numeric:
        raise ValueError("order: words have no order of their own; give all values from least to most")
    kept = np.bincount(c.item, minlength=1)[c.item] > 1
    item = np.unique(c.item[kept], return_inverse=True)[1]
    return LEVELS[level].parts(Coded(c.items, c.annotators, c.values, item, c.annotator[kept], c.value[kept]))


def value_counts(c: Coded) -> np.ndarray:
    """(u, k) how many people gave each value to each item."""
    u, k = int(c.item.max(initial=-1)) + 1, len(c.values)
    return np.bincount(c.item * k + c.value, minlength=u * k).reshape(u, k).astype(np.float64)


def nominal_parts(c: Coded) -> np.ndarray:
    """(u, 1 + k): votes that differ, (m² − Σ n_c²) / (m − 1), and the counts n_c."""
    n = value_counts(c)
    m = n.sum(1)
    return np.column_stack([(m**2 - (n**2).sum(1)) / (m - 1), n])


def nominal_alpha(sums: np.ndarray) -> np.ndarray:
    differ, n = sums[:, 0], sums[:, 1:]
    total = n.sum(1)
    return _one_minus(differ, (total**2 - (n**2).sum(1)) / (total - 1))


def interval_parts(c: Coded) -> np.ndarray:
    """(u, 4): squared distances within, 2(m Σx² − (Σx)²) / (m − 1); m, Σx and Σx², x from the middle of all votes."""
    x = c.numbers - c.numbers.mean() if len(c.value) else c.numbers
    m, s, s2 = (np.bincount(c.item, w).astype(np.float64) for w in (np.ones(len(x)), x, x**2))
    return np.column_stack([2 * (m * s2 - s**2) / (m - 1), m, s, s2])


def interval_alpha(sums: np.ndarray) -> np.ndarray:
    within, m, s, s2 = sums.T
    return _one_minus(within, 2 * (m * s2 - s**2) / (m - 1))


def ordinal_parts(c: Coded) -> np.ndarray:
    """(u, k²) coincidences."""
    if len(c.values) > MOST_STEPS:
        raise ValueError(f"{len(c.values)} values are no scale of steps; take the interval level")
    return coincidences(value_counts(c))


def coincidences(counts: np.ndarray) -> np.ndarray:
    """(u, k²) of (u, k) how many gave each value, in order: (n_c n_k − [c = k] n_c) / (m − 1); 0 where m < 2."""
    n = np.where(counts.sum(1, keepdims=True) > 1, counts, 0).astype(np.float64)
    both = n[:, :, None] * n[:, None, :] - np.eye(n.shape[1]) * n[:, None, :]
    return (both / np.maximum(n.sum(1) - 1, 1)[:, None, None]).reshape(len(n), n.shape[1] ** 2)


def ordinal_alpha(sums: np.ndarray) -> np.ndarray:
    """The distance of c and k is all votes between them with half of c's and k's own, so the margins come into it."""
    k = round(sums.shape[1] ** 0.5)
    o = sums.reshape(-1, k, k)
    n = o.sum(2)
    middle = np.cumsum(n, axis=1) - n / 2
    distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    expected = (n[:, :, None] * n[:, None, :] * distance).sum((1, 2)) / (n.sum(1) - 1)
    return _one_minus((o * distance).sum((1, 2)), expected)


def _one_minus(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    some = expected > 1e-12
    return np.where(some, 1 - seen / np.where(some, expected, 1), np.nan)


LEVELS: dict[Level, Measure] = {
    "nominal": Measure(nominal_parts, nominal_alpha),
    "ordinal": Measure(ordinal_parts, ordinal_alpha),
    "interval": Measure(interval_parts, interval_alpha),
}
