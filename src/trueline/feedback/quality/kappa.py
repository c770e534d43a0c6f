"""Cohen's kappa of each two annotators, over the items that both judged.

Letters: q pairs of votes, p pairs of people, k values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.pairs import vote_pairs
from trueline.feedback.quality.votes import Coded, Vote, coded


@dataclass(frozen=True)
class PairKappa:
    """n: items that both judged; agreement: share judged equally; kappa (Cohen 1960); quadratic (Cohen 1968).

    A kappa is None where chance alone would agree always, the quadratic one also where votes are words.
    """

    first: str
    second: str
    n: int
    agreement: float
    kappa: float | None
    quadratic: float | None


def pairwise_kappa(votes: Sequence[Vote]) -> tuple[PairKappa, ...]:
    """One row for each two people who share an item, by name."""
    c = coded(votes)
    pairs = vote_pairs(c)
    if not len(pairs.item):
        return ()
    people = len(c.annotators)
    both, pair = np.unique(c.annotator[pairs.first] * people + c.annotator[pairs.second], return_inverse=True)
    n = np.bincount(pair, minlength=len(both))
    agreement, kappa = _plain(c.value[pairs.first], c.value[pairs.second], pair, n, len(c.values))
    quadratic = _quadratic(c, pairs.first, pairs.second, pair, n) if c.numeric else np.full(len(both), np.nan)
    return tuple(
        PairKappa(
            c.annotators[key // people],
            c.annotators[key % people],
            int(n[i]),
            float(agreement[i]),
            _known(kappa[i]),
            _known(quadratic[i]),
        )
        for i, key in enumerate(both)
    )


def _plain(a: np.ndarray, b: np.ndarray, pair: np.ndarray, n: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(p,) share of equal values p_o and (p_o − p_e) / (1 − p_e), with p_e = Σ_c p(a = c) p(b = c)."""
    seen = np.bincount(pair, a == b, len(n)) / n
    margins = [np.bincount(pair * k + side, minlength=len(n) * k).reshape(-1, k) / n[:, None] for side in (a, b)]
    chance = (margins[0] * margins[1]).sum(1)
    return seen, _over(seen - chance, 1 - chance)


def _quadratic(c: Coded, first: np.ndarray, second: np.ndarray, pair: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(p,) 1 − E(a − b)² / (E a² + E b² − 2 E a E b): squared distances seen, and between votes that know no item."""
    x = c.numbers - c.numbers.mean() if len(c.value) else c.numbers
    a, b = x[first], x[second]
    a1, a2, b1, b2, seen = (np.bincount(pair, w, len(n)) / n for w in (a, a**2, b, b**2, (a - b) ** 2))
    return 1 - _over(seen, a2 + b2 - 2 * a1 * b1)


def _over(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    some = denominator > 1e-12
    return np.where(some, numerator / np.where(some, denominator, 1), np.nan)


def _known(x: float) -> float | None:
    return None if np.isnan(x) else float(x)
