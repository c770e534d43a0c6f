"""The metrics of a report: stable names, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trueline.evaluate.length_controlled import length_controlled_win_rate
from trueline.evaluate.metrics import distinct_interval, repetition, self_bleu_groups
from trueline.evaluate.record import Answered, Verdicts
from trueline.evaluate.statistics import (
    Interval,
    bootstrap_mean,
    paired_difference,
    perplexity,
    ratio,
    student_mean,
    wins,
)


@dataclass(frozen=True)
class Metric:
    """One figure before and after (None where a side has none), and the paired difference where it can be told."""

    before: Interval | None
    after: Interval | None
    change: Interval | None = None


def summarise(
    answered: Answered, before: Verdicts, after: Verdicts, resamples: int = 2000, seed: int = 0
) -> Mapping[str, Metric]:
    """unsafe_share, consistent_share, refused_share (where the judge gives verdicts), a mean a dimension, win_rate, kl,
    length, distinct_2, perplexity and finished_share, and what `_alike`, `_divergence` and `_controlled` add.

    win_rate compares the sums of the dimensions' scores; before is 0.5 by definition. 1,000 answers of 60 words take
    about 0.4 s.
    """
    found: dict[str, Metric] = {}

    def pair(name: str, old: np.ndarray, new: np.ndarray) -> None:
        found[name] = Metric(
            bootstrap_mean(old, resamples, seed), bootstrap_mean(new, resamples, seed), paired_difference(old, new)
        )

    if before.safe is not None and after.safe is not None:
        pair("unsafe_share", ~before.safe, ~after.safe)
    if before.consistent is not None and after.consistent is not None:
        pair("consistent_share", before.consistent, after.consistent)
    if before.refused is not None and after.refused is not None:
        pair("refused_share", before.refused, after.refused)
    for i, dimension in enumerate(before.scores.dimensions):
        pair(dimension, before.scores.values[:, i], after.scores.values[:, i])
    found |= _controlled(answered, wins(before.scores.values.sum(1), after.scores.values.sum(1)), resamples, seed)
    found |= _divergence(answered, resamples, seed)
    pair("length", answered.tokens_before, answered.tokens_after)
    pair("finished_share", *(np.array([c.finish == "stop" for c in s]) for s in (answered.before, answered.after)))
    texts = [[c.text for c in side] for side in (answered.before, answered.after)]
    pair("repetition", *(repetition(side) for side in texts))
    found |= _alike(texts[0], texts[1], seed)
    if answered.surprise_before is not None and answered.surprise_after is not None:
        sides = (answered.surprise_before, answered.surprise_after)
        found["perplexity"] = Metric(*(perplexity(*side, resamples, seed) for side in sides))
    return found


def _controlled(answered: Answered, won: np.ndarray, resamples: int, seed: int) -> dict[str, Metric]:
    """win_rate, and win_rate_length_controlled where some answers grew longer and some did not."""
    even = Interval(0.5, 0.5, 0.5, len(won))
    found = {"win_rate": Metric(even, bootstrap_mean(won, resamples, seed))}
    sides = (answered.tokens_before, answered.tokens_after)
    controlled = length_controlled_win_rate(won, *sides, resamples, seed)
    if controlled is not None:
        found["win_rate_length_controlled"] = Metric(even, controlled)
    return found


def _divergence(answered: Answered, resamples: int, seed: int) -> dict[str, Metric]:
    """kl, kl_per_token where there are tokens, and kl_reference where it is another one."""
    none = Interval(0.0, 0.0, 0.0, len(answered.prompts))
    found = {"kl": Metric(none, bootstrap_mean(answered.kl, resamples, seed))}
    if answered.tokens_after.any():
        found["kl_per_token"] = Metric(none, ratio(answered.kl, answered.tokens_after, resamples, seed))
    if answered.kl_reference is not None:
        found["kl_reference"] = Metric(None, bootstrap_mean(answered.kl_reference, resamples, seed))
    return found


def _alike(old: list[str], new: list[str], seed: int) -> dict[str, Metric]:
    """distinct_2, and self_bleu where there are 20 answers or more."""
    found = {"distinct_2": Metric(*(distinct_interval(side, 2, seed=seed) for side in (old, new)))}
    groups = [self_bleu_groups(side, seed) for side in (old, new)]
    if len(groups[0]) > 1:
        three = (*(student_mean(group) for group in groups), student_mean(groups[1] - groups[0]))
        found["self_bleu"] = Metric(*(replace(interval, n=len(old)) for interval in three))
    return found
