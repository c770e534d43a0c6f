"""Means, shares, ratios and win rates with 95% intervals that hold what they say. Seeded, so that a report repeats.

Each kind of figure has the interval that covers it in 95 of 100 evaluations of some 200 prompts: a share Wilson's, the
difference of two verdicts Bonett and Price's, a mean or ratio the BCa bootstrap's, the difference of two means
Student's. The percentile bootstrap, which is narrower than it says where values are skew or few differ, has none.

Letters: n prompts, r resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from trueline.feedback.quality.interval import Interval as Interval
from trueline.feedback.quality.interval import Z, student_quantile
from trueline.feedback.quality.interval import wilson as wilson

NORMAL = NormalDist()


def resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(r, ...) means of n draws with replacement out of (n, ...) values."""
    rng = np.random.default_rng([31, seed])
    n, found = len(values), []
    for start in range(0, resamples, 500):
        index = rng.integers(0, n, size=(min(500, resamples - start), n))
        found.append(values[index].mean(1))
    return np.concatenate(found)


def bca(value: float, draws: np.ndarray, influence: np.ndarray) -> Interval:
    """The BCa bootstrap interval (Efron 1987): percentiles of the draws, moved for bias and skewness.

    It reaches for t √(n / (n - 1)) instead of z, since resamples spread less than samples (Hesterberg 2015, "What
    teachers should know about the bootstrap"). draws: (r,) the statistic of resamples, those that are no number left
    out; influence: (n,) how much each case pulls the statistic, on any scale. One case, or a statistic that no resample
    has, tells no interval: it is the value alone.
    """
    n, draws = len(influence), draws[np.isfinite(draws)]
    if n < 2 or not len(draws):
        return Interval(value, value, value, n)
    below = float((np.sign(value - draws) * ~np.isclose(draws, value, rtol=1e-12, atol=0)).mean() + 1) / 2
    bias = NORMAL.inv_cdf(min(max(below, 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    spread = float((influence**2).sum()) ** 1.5
    skew = float((influence**3).sum()) / (6 * spread) if spread > 0 else 0.0
    reach = student_quantile(n - 1) * (n / (n - 1)) ** 0.5
    moved = [NORMAL.cdf(bias + (bias + z) / (1 - skew * (bias + z))) for z in (-reach, reach)]
    low, high = np.quantile(draws, moved)
    return Interval(value, min(float(low), value), max(float(high), value), n)


def _verdicts(gained: int, lost: int, n: int) -> Interval:
    """The share gained less the share lost, out of n paired verdicts (Bonett and Price 2012, adjusted Wald).

    As if there were one more of each, so that no change at all, too, has an interval.
    """
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    centre, reach = up - down, Z * ((up + down - (up - down) ** 2) / (n + 2)) ** 0.5
    return Interval((gained - lost) / n, max(-1.0, centre - reach), min(1.0, centre + reach), n)


def bootstrap_mean(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean by `bca`; of zeros and ones by `wilson`, and with halves between them as a difference of verdicts.

    nan, such as no verdict, is left out.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if _only(values, 0.0, 1.0):
        return wilson(int(values.sum()), len(values))
    if _only(values, 0.0, 0.5, 1.0):
        more = _verdicts(int((values == 1).sum()), int((values == 0).sum()), len(values))
        return through(lambda x: (1 + x) / 2, more)
    mean = float(values.mean())
    return bca(mean, resampled_means(values, resamples, seed), values - mean)


def through(rising: Callable[[float], float], found: Interval) -> Interval:
    """The interval of a rising function of a figure."""
    return Interval(rising(found.value), rising(found.low), rising(found.high), found.n)


def student_mean(values: np.ndarray) -> Interval:
    """The mean with Student's interval; of one value it is that alone."""
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Interval(mean, mean, mean, n)
    reach = student_quantile(n - 1) * float(values.std(ddof=1)) / n**0.5
    return Interval(mean, mean - reach, mean + reach, n)


def paired_difference(before: np.ndarray, after: np.ndarray) -> Interval:
    """The mean of after - before over the same prompts: of verdicts by Bonett and Price, else by Student.

    Differences mostly lie on both sides of 0, and their skewness is noise where few are not 0: BCa then covers less.
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if _only(before, 0.0, 1.0) and _only(after, 0.0, 1.0):
        return _verdicts(int((after > before).sum()), int((after < before).sum()), len(before))
    return student_mean(after - before)


def ratio(above: np.ndarray, below: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """The sum of (n,) above over the sum of (n,) below, which is more than 0, cases resampled whole; by `bca`."""
    both = np.stack([above, below], axis=1).astype(np.float64)
    value = float(both[:, 0].sum() / both[:, 1].sum())
    means = resampled_means(both, resamples, seed)
    kept = means[means[:, 1] > 0]
    return bca(value, kept[:, 0] / kept[:, 1], both[:, 0] - value * both[:, 1])


def perplexity(nats: np.ndarray, tokens: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """exp of the nats a token over n texts, texts resampled whole; (n,) nats and (n,) tokens of each."""
    return through(math.exp, ratio(nats, tokens, resamples, seed))


def wins(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(n,) 1 where the score after is higher, 0 where it is lower, 0.5 a tie, nan where a score is."""
    won = np.where(after > before, 1.0, np.where(after < before, 0.0, 0.5))
    return np.where(np.isnan(before) | np.isnan(after), np.nan, won)


def win_rate(before: np.ndarray, after: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """The share of prompts whose answer after is scored higher; a tie counts half."""
    return bootstrap_mean(wins(before, after), resamples, seed)


def _only(values: np.ndarray, *of: float) -> bool:
    return len(values) > 0 and bool(np.isin(values, of).all())
