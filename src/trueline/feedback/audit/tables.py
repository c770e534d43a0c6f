"""A snapshot's labels of one dimension as arrays.

Letters: n labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from trueline.feedback.snapshot import FeedbackSnapshot


@dataclass(frozen=True)
class PairTable:
    """a, b: completions of one prompt; value (n,): -3 .. 3, above 0 where b is preferred; prompt, person (n,): indices.

    Pairs that are made of ratings have no person (-1).
    """

    dimension: str
    a: list[str]
    b: list[str]
    value: np.ndarray
    prompt: np.ndarray
    person: np.ndarray
    people: list[str]
    of_ratings: bool = False


@dataclass(frozen=True)
class RatingTable:
    """value (n,): 1 .. 5; item, prompt, person (n,): indices; items: completion ids."""

    dimension: str
    items: list[str]
    value: np.ndarray
    item: np.ndarray
    prompt: np.ndarray
    person: np.ndarray
    people: list[str]

    def item_means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean rating and prompt of each item."""
        counts = np.bincount(self.item)
        prompt = np.zeros(len(self.items), dtype=int)
        prompt[self.item] = self.prompt
        return np.bincount(self.item, self.value) / counts, prompt


def comparison_table(snapshot: FeedbackSnapshot, dimension: str) -> PairTable:
    """The comparisons as they are stored, ties too."""
    found = [c for c in snapshot.comparisons if c.dimension == dimension]
    prompt, _ = _indices([snapshot.completions[c.a_id].prompt_id for c in found])
    person, people = _indices([c.annotator.label for c in found])
    value = np.array([c.preference for c in found], dtype=np.float64)
    return PairTable(dimension, [c.a_id for c in found], [c.b_id for c in found], value, prompt, person, people)


def rating_table(snapshot: FeedbackSnapshot, dimension: str) -> RatingTable:
    found = [r for r in snapshot.ratings if r.dimension == dimension and r.value is not None]
    item, items = _indices([r.completion_id for r in found])
    prompt, _ = _indices([snapshot.completions[r.completion_id].prompt_id for r in found])
    person, people = _indices([r.annotator.label for r in found])
    value = np.array([r.value for r in found], dtype=np.float64)
    return RatingTable(dimension, items, value, item, prompt, person, people)


def pair_table(snapshot: FeedbackSnapshot, dimension: str) -> PairTable:
    """The comparisons; without any, all pairs of answers to one prompt by their mean ratings."""
    compared = comparison_table(snapshot, dimension)
    rated = rating_table(snapshot, dimension)
    if compared.a or not rated.items:
        return compared
    means, prompt = rated.item_means()
    groups: dict[int, list[int]] = defaultdict(list)
    for i, p in enumerate(prompt.tolist()):
        groups[p].append(i)
    pairs = [pair for members in groups.values() for pair in combinations(members, 2)]
    a, b = [rated.items[i] for i, _ in pairs], [rated.items[j] for _, j in pairs]
    value = np.array([means[j] - means[i] for i, j in pairs])
    places, _ = _indices([str(prompt[i]) for i, _ in pairs])
    return PairTable(dimension, a, b, value, places, np.full(len(a), -1), [], of_ratings=True)


def dimensions_of(snapshot: FeedbackSnapshot) -> list[str]:
    return sorted({r.dimension for r in snapshot.ratings} | {c.dimension for c in snapshot.comparisons})


def _indices(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """(n,) places in the sorted distinct names, and these."""
    known = sorted(set(names))
    place = {name: i for i, name in enumerate(known)}
    return np.array([place[name] for name in names], dtype=np.int64), known
