"""The metrics of a report: stable names, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.metrics import distinct_interval
from trueline.evaluate.record import Answered, Verdicts
from trueline.evaluate.statistics import Interval, bootstrap_mean, paired_difference, perplexity, win_rate


@dataclass(frozen=True)
class Metric:
    """One figure before and after (None where a side has none), and the paired difference where it can be told."""

    before: Interval | None
    after: Interval | None
    change: Interval | None = None


def summarise(
    answered: Answered, before: Verdicts, after: Verdicts, resamples: int = 2000, seed: int = 0
) -> Mapping[str, Metric]:
    """unsafe_share, consistent_share (where the judge gives verdicts), a mean a dimension, win_rate, kl, length,
    distinct_2 and perplexity. win_rate compares the sums of the dimensions' scores; before is 0.5 by definition.
    """
    found: dict[str, Metric] = {}

    def pair(name: str, old: np.ndarray, new: np.ndarray) -> None:
        found[name] = Metric(
            bootstrap_mean(old, resamples, seed),
            bootstrap_mean(new, resamples, seed),
            paired_difference(old, new, resamples, seed),
        )

    if before.safe is not None and after.safe is not None:
        pair("unsafe_share", ~before.safe, ~after.safe)
    if before.consistent is not None and after.consistent is not None:
        pair("consistent_share", before.consistent, after.consistent)
    for i, dimension in enumerate(before.scores.dimensions):
        pair(dimension, before.scores.values[:, i], after.scores.values[:, i])
    n = len(answered.prompts)
    wins = win_rate(before.scores.values.sum(1), after.scores.values.sum(1), resamples, seed)
    found["win_rate"] = Metric(Interval(0.5, 0.5, 0.5, n), wins)
    found["kl"] = Metric(Interval(0.0, 0.0, 0.0, n), bootstrap_mean(answered.kl, resamples, seed))
    pair("length", answered.tokens_before, answered.tokens_after)
    texts = [[c.text for c in side] for side in (answered.before, answered.after)]
    found["distinct_2"] = Metric(*(distinct_interval(side, 2, seed=seed) for side in texts))
    if answered.surprise_before is not None and answered.surprise_after is not None:
        sides = (answered.surprise_before, answered.surprise_after)
        found["perplexity"] = Metric(*(perplexity(*side, resamples, seed) for side in sides))
    return found
