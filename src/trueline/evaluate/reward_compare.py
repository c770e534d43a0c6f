"""Two reward models on the same pairs: which of them orders more as people do, and is that more than chance?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from trueline.evaluate.by_prompt import bootstrap_by_prompt, share_by_prompt
from trueline.evaluate.held_out import ScoredPairs
from trueline.evaluate.statistics import Interval


@dataclass(frozen=True)
class Duel:
    """first, second: accuracies; difference: second less first, by prompt; only_first, only_second: pairs that just one
    orders rightly; p: McNemar's exact test (1947), which takes pairs as independent: with several pairs a prompt trust
    the difference's interval.
    """

    n_pairs: int
    first: Interval | None
    second: Interval | None
    difference: Interval | None
    only_first: int
    only_second: int
    p: float


def duel(first: ScoredPairs, second: ScoredPairs, resamples: int = 2000, seed: int = 0) -> Duel:
    """Both scored the same pairs in the same order; people's ties are left out. ValueError where not so."""
    if (first.a, first.b) != (second.a, second.b) or not np.array_equal(first.preference, second.preference):
        raise ValueError("the two models scored different pairs")
    won = first.preference != 0
    prompts = [p for p, w in zip(first.prompts, won, strict=True) if w]
    left, right = ((s.margin * s.preference)[won] > 0 for s in (first, second))
    gain = right.astype(float) - left
    only_first, only_second = int((left & ~right).sum()), int((right & ~left).sum())
    return Duel(
        n_pairs=len(prompts),
        first=share_by_prompt(prompts, left, resamples, seed) if prompts else None,
        second=share_by_prompt(prompts, right, resamples, seed) if prompts else None,
        difference=bootstrap_by_prompt(prompts, lambda r: float(gain[r].mean()), resamples, seed) if prompts else None,
        only_first=only_first,
        only_second=only_second,
        p=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided: were the pairs that just one orders rightly shared out by a fair coin? 1 where there are none."""
    n = only_first + only_second
    return float(binomtest(only_first, n, 0.5).pvalue) if n else 1.0
