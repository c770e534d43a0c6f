"""What every judge does, and how a judge that scores answers compares two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from trueline.evaluate.record import Verdicts
from trueline.records import Exchange

EQUAL = 1e-9  # sums this close are the same, added up in another order


class Judge(Protocol):
    """name: as people read it in a report.

    rate: scores and verdicts of n exchanges, None where the judge only compares. compare: (n,) float64, 1 where the
    answer after is better, 0 where the one before is, 0.5 a tie, nan no verdict; between them where several people
    disagree. Pairs are by index, answers to one prompt; the same text twice is a tie.
    """

    @property
    def name(self) -> str: ...
    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts | None: ...
    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray: ...


def same_text(before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
    """(n,) bool: both answers of a pair are one text. ValueError: a pair answers two prompts, or one side is longer."""
    pairs = list(zip(before, after, strict=True))
    if any(a.completion.prompt_id != b.completion.prompt_id for a, b in pairs):
        raise ValueError("before and after must answer the same prompts in the same order")
    return np.array([a.completion.text == b.completion.text for a, b in pairs], dtype=bool)


def by_scores(
    rate: Callable[[Sequence[Exchange]], Verdicts], before: Sequence[Exchange], after: Sequence[Exchange]
) -> np.ndarray:
    """(n,) verdicts by the sum of the dimensions' scores: the larger one is better, equal ones tie, nan gives nan."""
    same = same_text(before, after)
    if not before:
        return np.zeros(0)
    sums = rate([*before, *after]).scores.values.sum(1)
    more = sums[len(before) :] - sums[: len(before)]
    more[same | (np.abs(more) <= EQUAL)] = 0.0
    return np.asarray((np.sign(more) + 1) / 2)
