"""A figure with its 95% interval, and the three ways in which these are made here: Wilson, bootstrap, Student."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)
CELLS = 4_000_000  # of a table of draws held at once


@dataclass(frozen=True)
class Interval:
    """A figure, its 95% interval and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int


def wilson(hits: int, n: int) -> Interval:
    """A share with Wilson's score interval (1927), which is not degenerate at 0 and 1; n > 0.

    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)
    """
    p = hits / n
    centre, reach = p + Z**2 / (2 * n), Z * (p * (1 - p) / n + Z**2 / (4 * n**2)) ** 0.5
    scale = 1 + Z**2 / n
    return Interval(p, (centre - reach) / scale if hits else 0.0, (centre + reach) / scale if hits < n else 1.0, n)


def resampled_sums(parts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(r, q) sums over u items drawn with replacement (Efron 1979), each bringing its row of (u, q) parts.

    Items with equal rows are one kind; how often each kind is drawn is multinomial, so that few numbers are drawn.
    """
    rng = np.random.default_rng([61, seed])
    kinds, count = np.unique(parts, axis=0, return_counts=True)
    rows, found = max(1, CELLS // len(kinds)), []
    for start in range(0, resamples, rows):
        drawn = rng.multinomial(len(parts), count / len(parts), min(rows, resamples - start))
        found.append(drawn @ kinds)
    return np.concatenate(found)


def student_quantile(df: float) -> float:
    """t of Student's distribution with 2.5% above it; df >= 1.

    With t = √df tan φ the density becomes cos(φ)^(df − 1) on 0 to π/2, which is summed by the trapezoidal rule.
    """
    phi = np.linspace(0, np.pi / 2, 20_001)
    density = np.cos(phi).clip(0) ** (df - 1)
    reached = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return float(np.sqrt(df) * np.tan(np.interp(0.95 * reached[-1], reached, phi)))


def welch(first: np.ndarray, second: np.ndarray, least_variance: float = 0.0) -> Interval:
    """mean(second) − mean(first) with Welch's interval (1947): unequal variances; two or more numbers in each.

    least_variance: what each side's variance is taken for at the least, so that few equal numbers are not certainty.
    """
    n, m = len(first), len(second)
    v = max(float(first.var(ddof=1)), least_variance) / n
    w = max(float(second.var(ddof=1)), least_variance) / m
    change = float(second.mean() - first.mean())
    reach = 0.0
    if v + w > 0:
        df = (v + w) ** 2 / (v**2 / (n - 1) + w**2 / (m - 1))
        reach = student_quantile(df) * (v + w) ** 0.5
    return Interval(change, change - reach, change + reach, n + m)
