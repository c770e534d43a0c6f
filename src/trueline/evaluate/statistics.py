"""Means, shares and win rates with 95% intervals. Seeded, so that a report repeats."""

from __future__ import annotations

import numpy as np

from trueline.feedback.quality.interval import Interval as Interval
from trueline.feedback.quality.interval import wilson as wilson


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(resamples, ...) means of n draws with replacement out of (n, ...) values."""
    rng = np.random.default_rng([31, seed])
    n, found = len(values), []
    for start in range(0, resamples, 500):
        index = rng.integers(0, n, size=(min(500, resamples - start), n))
        found.append(values[index].mean(1))
    return np.concatenate(found)


def bootstrap_mean(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean with its percentile bootstrap interval (Efron 1979); shares that are all 0 or all 1 by `wilson`."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) and set(np.unique(values)) <= {0.0, 1.0} and values.min() == values.max():
        return wilson(int(values.sum()), len(values))
    low, high = np.quantile(_resampled_means(values, resamples, seed), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high), len(values))


def paired_difference(before: np.ndarray, after: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """The mean of after - before over the same prompts."""
    difference = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    low, high = np.quantile(_resampled_means(difference, resamples, seed), [0.025, 0.975])
    return Interval(float(difference.mean()), float(low), float(high), len(difference))


def perplexity(nats: np.ndarray, tokens: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """exp of the nats a token over n texts, texts resampled whole; (n,) nats and (n,) tokens of each."""
    both = np.stack([nats, tokens], axis=1).astype(np.float64)
    means = _resampled_means(both, resamples, seed)
    low, high = np.quantile(np.exp(means[:, 0] / means[:, 1]), [0.025, 0.975])
    return Interval(float(np.exp(both[:, 0].sum() / both[:, 1].sum())), float(low), float(high), len(both))


def win_rate(before: np.ndarray, after: np.ndarray, resamples: int = 2000, seed: int = 0) -> Interval:
    """The share of prompts whose answer after is scored higher; a tie counts half."""
    wins = np.where(after > before, 1.0, np.where(after < before, 0.0, 0.5))
    return bootstrap_mean(wins, resamples, seed)
