"""Time an item: each person's median, and judgements given much faster than that and than everyone's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.votes import Vote, coded

FAST = 4.0


@dataclass(frozen=True)
class Pace:
    """median: seconds an item; everyone: the median of all people's medians, each counting once.

    hasty: items that took less than a quarter both of their own median and of everyone's.
    """

    annotator: str
    n: int
    median: float
    everyone: float
    hasty: tuple[str, ...]

    @property
    def times_faster(self) -> float:
        """Than everyone; below 1 they are slower. Who is always fast has no hasty items: look here too."""
        return self.everyone / self.median


def pace(seconds: Sequence[Vote], fast: float = FAST) -> tuple[Pace, ...]:
    """One row a person, by name. The votes' values are seconds; 0 or less means that the time is not known."""
    c = coded([v for v in seconds if not isinstance(v.value, str) and v.value > 0])
    taken = c.numbers
    medians = np.array([np.median(taken[c.annotator == j]) for j in range(len(c.annotators))])
    everyone = float(np.median(medians)) if len(medians) else 0.0
    found = []
    for j, (name, median) in enumerate(zip(c.annotators, medians, strict=True)):
        own = np.flatnonzero(c.annotator == j)
        hasty = own[taken[own] * fast < min(median, everyone)]
        found.append(Pace(name, len(own), float(median), everyone, tuple(c.items[i] for i in c.item[hasty])))
    return tuple(found)
