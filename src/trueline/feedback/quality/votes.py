"""The record that everything here takes, and votes as arrays.

Letters: n votes, i items, j annotators, k values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Value = float | int | str
Kind = Literal["preference", "mark", "label"]


@dataclass(frozen=True)
class Vote:
    """What one person says of one item. A sequence of votes is in the order in which they were given."""

    item: str
    annotator: str
    value: Value


@dataclass(frozen=True)
class Coded:
    """Votes as places in lists: items (i), annotators (j, sorted), values (k, in order); the others (n,)."""

    items: tuple[str, ...]
    annotators: tuple[str, ...]
    values: tuple[Value, ...]
    item: np.ndarray
    annotator: np.ndarray
    value: np.ndarray

    @property
    def numeric(self) -> bool:
        return not any(isinstance(v, str) for v in self.values)

    @property
    def numbers(self) -> np.ndarray:
        """(n,) what was said, as numbers."""
        if not self.numeric:
            raise ValueError("these votes are words, which have no distance from each other")
        return np.array(self.values, dtype=np.float64)[self.value] if self.values else np.zeros(0)


def coded(votes: Sequence[Vote], order: Sequence[Value] | None = None) -> Coded:
    """A person's newest vote on an item counts, in its place in time; NaN is no vote.

    order: all values from least to most; by default numbers by size, then words by the alphabet.
    """
    newest: dict[tuple[str, str], Vote] = {}
    for vote in votes:
        if isinstance(vote.value, float) and math.isnan(vote.value):
            continue
        newest.pop((vote.item, vote.annotator), None)
        newest[vote.item, vote.annotator] = vote
    said = {v.value for v in newest.values()}
    if order is None:
        values = sorted(v for v in said if not isinstance(v, str)) + sorted(v for v in said if isinstance(v, str))
    elif strange := said - set(order):
        raise ValueError(f"order: {sorted(map(str, strange))[0]!r} is voted for but not in it")
    else:
        values = list(order)
    items = list(dict.fromkeys(v.item for v in newest.values()))
    annotators = sorted({v.annotator for v in newest.values()})
    return Coded(
        tuple(items),
        tuple(annotators),
        tuple(values),
        _places(items, [v.item for v in newest.values()]),
        _places(annotators, [v.annotator for v in newest.values()]),
        _places(values, [v.value for v in newest.values()]),
    )


def _places(names: Sequence[Value], given: Sequence[Value]) -> np.ndarray:
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[g] for g in given], dtype=np.int64)


def same(kind: Kind, one: Value, other: Value) -> bool:
    """Preferences are the same where they point the same way, marks within a step, labels where they are equal."""
    if kind == "label":
        return one == other
    if isinstance(one, str) or isinstance(other, str):
        raise ValueError(f"a {kind} is a number, not {one!r} or {other!r}")
    if kind == "mark":
        return abs(one - other) <= 1
    return bool(np.sign(one) == np.sign(other))
