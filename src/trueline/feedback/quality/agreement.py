"""How often two people's preferences point the same way, ties counted as a class of their own, and without ties.

Letters: q pairs of votes, u items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.interval import Interval, resampled_sums, wilson
from trueline.feedback.quality.pairs import VotePairs, vote_pairs
from trueline.feedback.quality.votes import Coded, Vote, coded


@dataclass(frozen=True)
class Agreement:
    """ties: of all pairs of votes; clear: of those in which neither is a tie; n counts pairs; None without any."""

    ties: Interval | None
    clear: Interval | None


@dataclass(frozen=True)
class PairAgreement:
    """The same of two people, by Wilson's interval, since they meet once an item."""

    first: str
    second: str
    ties: Interval
    clear: Interval | None


def sign_agreement(votes: Sequence[Vote], resamples: int = 1_000, seed: int = 0) -> Agreement:
    """Over every two votes on an item, items drawn whole for the interval, since their pairs hang together."""
    c = coded(votes)
    pairs = vote_pairs(c)
    same, clear = _signs(c, pairs)
    return Agreement(_share(same, pairs.item, resamples, seed), _share(same[clear], pairs.item[clear], resamples, seed))


def pairwise_sign_agreement(votes: Sequence[Vote]) -> tuple[PairAgreement, ...]:
    """One row for each two people who share an item, by name."""
    c = coded(votes)
    pairs = vote_pairs(c)
    same, clear = _signs(c, pairs)
    people = len(c.annotators)
    both, pair = np.unique(c.annotator[pairs.first] * people + c.annotator[pairs.second], return_inverse=True)
    counts = [np.bincount(pair, w, len(both)) for w in (same, np.ones(len(pair)), same & clear, clear)]
    return tuple(
        PairAgreement(
            c.annotators[key // people],
            c.annotators[key % people],
            wilson(int(hits), int(n)),
            wilson(int(clear_hits), int(clear_n)) if clear_n else None,
        )
        for key, hits, n, clear_hits, clear_n in zip(both, *counts, strict=True)
    )


def _signs(c: Coded, pairs: VotePairs) -> tuple[np.ndarray, np.ndarray]:
    """(q,) whether both point the same way, and whether neither is a tie."""
    sign = np.sign(c.numbers)
    a, b = sign[pairs.first], sign[pairs.second]
    return a == b, (a != 0) & (b != 0)


def _share(same: np.ndarray, item: np.ndarray, resamples: int, seed: int) -> Interval | None:
    """Where all agree, or none, the bootstrap is degenerate: Wilson's, with an item counted once."""
    if not len(same):
        return None
    place = np.unique(item, return_inverse=True)[1]
    parts = np.column_stack([np.bincount(place, same), np.bincount(place)])
    value = float(same.mean())
    if value in (0.0, 1.0):
        once = wilson(round(value * len(parts)), len(parts))
        return Interval(value, once.low, once.high, len(same))
    sums = resampled_sums(parts, resamples, seed)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return Interval(value, float(low), float(high), len(same))
