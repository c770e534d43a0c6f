"""Leniency over time: does a person mark more kindly, or more strictly, in the second half of their labels?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.interval import Interval, welch
from trueline.feedback.quality.votes import Vote, coded


@dataclass(frozen=True)
class Drift:
    """first, second: means of their halves; change: second less first, with Welch's interval; n: labels behind it.

    All None with fewer than two labels in a half.
    """

    annotator: str
    n: int
    first: float | None = None
    second: float | None = None
    change: Interval | None = None


def drift(votes: Sequence[Vote], *, relative: bool = True, step: float = 1.0) -> tuple[Drift, ...]:
    """One row a person, by name; votes are in the order of time.

    relative: each label less the others' mean on its item, items that nobody else judged being left out, since the
    queue does not hand out items evenly over time; else the labels as they are.
    step: of the scale; rounding to it alone has variance step² / 12, which is taken as the least (Sheppard 1898).
    """
    c = coded(votes)
    x, n = c.numbers, np.bincount(c.item)
    kept = np.ones(len(x), dtype=bool)
    if relative and len(x):
        kept = n[c.item] > 1
        x = x - (np.bincount(c.item, x)[c.item] - x) / np.maximum(n[c.item] - 1, 1)
    found = []
    for j, name in enumerate(c.annotators):
        own = x[kept & (c.annotator == j)]
        first, second = own[: len(own) // 2], own[len(own) // 2 :]
        if len(first) < 2:
            found.append(Drift(name, len(own)))
            continue
        change = welch(first, second, step**2 / 12)
        found.append(Drift(name, len(own), float(first.mean()), float(second.mean()), change))
    return tuple(found)
