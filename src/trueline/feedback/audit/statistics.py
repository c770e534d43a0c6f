"""Tests and intervals that know that labels of one prompt hang together, and that many tests are made at once.

Letters: n labels, c clusters (prompts), k tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

FLIPS = 9_999
ENOUGH_EXTREMES = 10
CHUNK = 1_000


def sums(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """(c, ...) sums by cluster of (n, ...) values; cluster (n,) is 0 .. c - 1."""
    count = int(cluster.max()) + 1 if len(cluster) else 0
    if values.ndim == 1:
        return np.bincount(cluster, values, count)
    return np.stack([np.bincount(cluster, column, count) for column in values.T], axis=1)


def sign_flip(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """(k,) two-sided p that the sums of (c, k) cluster scores are 0, each cluster's sign being as likely + as -.

    Exact up to the 9,999 draws (Fisher 1935), which all tests share. Where fewer than 10 draws are as extreme, their
    number says little and the normal tail of the self-normalised sum is taken instead.
    """
    scores = np.asarray(scores, dtype=np.float64)
    rng = np.random.default_rng([53, seed])
    observed, hits = np.abs(scores.sum(0)), np.zeros(scores.shape[1])
    for start in range(0, FLIPS, CHUNK):
        signs = rng.integers(0, 2, (min(CHUNK, FLIPS - start), len(scores)), dtype=np.int8).astype(np.float32) * 2 - 1
        hits += (np.abs(signs @ scores.astype(np.float32)) >= observed - 1e-4).sum(0)
    drawn = (1 + hits) / (1 + FLIPS)
    spread = np.sqrt((scores**2).sum(0))
    tail = 2 * ndtr(-np.divide(observed, spread, out=np.zeros_like(observed), where=spread > 0))
    return np.where(hits >= ENOUGH_EXTREMES, drawn, np.minimum(drawn, np.maximum(tail, 1e-300)))


def student_p(estimate: float, error: float, clusters: int) -> float:
    """Two-sided p of an estimate with a standard error over so many clusters."""
    return 1.0 if error <= 0 or clusters < 2 else float(2 * student.sf(abs(estimate) / error, clusters - 1))


def student_reach(error: float, clusters: int) -> float:
    """Half the width of its 95% interval."""
    return float(student.ppf(0.975, max(1, clusters - 1)) * error)


def shares(hits: np.ndarray, of: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """(3, k) shares and their 95% intervals: (c, k) hits of as many cases, clusters resampled whole (Efron 1979).

    Where all cases agree, by Wilson's score over the clusters (1927), since the bootstrap is degenerate there.
    """
    value = hits.sum(0) / of.sum(0)
    both = np.concatenate([hits, of], axis=1).astype(np.float32)
    drawn = np.concatenate([counts @ both for counts in resampled_counts(len(hits), resamples, seed)])
    k = hits.shape[1]
    low, high = np.quantile(drawn[:, :k] / np.maximum(drawn[:, k:], 0.5), [0.025, 0.975], axis=0)
    held, z2 = (of > 0).sum(0), float(ndtri(0.975)) ** 2
    low = np.where(value == 1, held / (held + z2), low)
    high = np.where(value == 0, z2 / (held + z2), high)
    return np.stack([value, low, high])


def share(hits: np.ndarray, of: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float, float]:
    """The same for one share, (c,) hits of (c,) cases."""
    value, low, high = shares(hits[:, None], of[:, None], resamples, seed)[:, 0].tolist()
    return value, low, high


def resampled_counts(clusters: int, resamples: int, seed: int) -> list[np.ndarray]:
    """(r, c) float32 arrays that together say how often each resample holds each cluster."""
    rng = np.random.default_rng([59, seed])
    found = []
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        index = rng.integers(0, clusters, (rows, clusters)) + np.arange(rows)[:, None] * clusters
        counts = np.bincount(index.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        found.append(counts.astype(np.float32))
    return found


def holm(p: Sequence[float], weights: Sequence[float]) -> np.ndarray:
    """(k,) adjusted p: calling those up to .05 errs anywhere at all in at most 5% of audits.

    Weighted Holm (1979): a test's part of the 5% is its weight's part of all weights, so that many tests of one kind
    do not drown the few of another.
    """
    p_, w = np.asarray(p, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    order = np.argsort(p_ / w, kind="stable")
    left = np.cumsum(w[order][::-1])[::-1]
    adjusted = np.empty(len(p_))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_[order] / w[order] * left))
    return adjusted
