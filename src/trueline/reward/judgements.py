"""From a snapshot's labels to what a neural reward model learns from: answers and pairs with a label a dimension.

Letters: d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.reward.labels import preference_pairs, rating_targets

LearnFrom = Literal["ratings", "comparisons", "either"]


@dataclass(frozen=True)
class Item:
    """One answer, or two of one prompt. nan: not labelled.

    rows: where the answers stand in `Judgements.ids`; targets: (1 or 2, d) standardised mean ratings; preference: (d,)
    -3 to 3, above 0 where the second answer is better.
    """

    rows: tuple[int, ...]
    targets: np.ndarray
    preference: np.ndarray


@dataclass(frozen=True)
class Judgements:
    """ids: the answers' completion ids; counts: labels in each dimension; rated, compared: which kinds there are."""

    ids: list[str]
    items: list[Item]
    counts: list[int]
    rated: bool
    compared: bool


def judgements(snapshot: FeedbackSnapshot, dimensions: Sequence[str], learn_from: LearnFrom) -> Judgements:
    """Every label once: comparisons of one pair in several dimensions share an item, and so do the pair's ratings.

    "either" takes all labels there are. InputError where a dimension has none.
    """
    targets: dict[str, np.ndarray] = {}
    listed: dict[tuple[str, str], list[list[float]]] = {}
    counts, compared = [], False
    for column, dimension in enumerate(dimensions):
        groups: set[str] = set()
        count = 0
        if learn_from != "comparisons":
            found = rating_targets(snapshot, dimension)
            spread = float(found.values.std()) if found.ids else 0.0
            for i, value in zip(found.ids, found.values, strict=True):
                row = targets.setdefault(i, np.full(len(dimensions), np.nan))
                row[column] = (value - found.values.mean()) / (spread if spread > 1e-12 else 1.0)
            groups |= set(found.groups)
            count += len(found.ids)
        if learn_from != "ratings":
            pairs = preference_pairs(snapshot, dimension)
            for a, b, sign, size in zip(pairs.a, pairs.b, pairs.sign, pairs.weights, strict=True):
                first, second, sign = (a, b, sign) if a < b else (b, a, -sign)
                slots = listed.setdefault((first, second), [[] for _ in dimensions])
                slots[column].append(float(sign * size))
            groups |= set(pairs.groups)
            count += len(pairs.a)
            compared |= bool(pairs.a)
        if len(groups) < 2:
            raise InputError(_missing(dimension, learn_from, len(groups)))
        counts.append(count)
    ids = sorted({*targets, *(i for pair in listed for i in pair)})
    return Judgements(ids, _items(ids, targets, listed, len(dimensions)), counts, bool(targets), compared)


def _items(
    ids: list[str], targets: dict[str, np.ndarray], listed: dict[tuple[str, str], list[list[float]]], d: int
) -> list[Item]:
    """Pairs first, with the ratings of their answers where no pair before had them; then the answers in no pair."""
    place = {i: row for row, i in enumerate(ids)}
    left = dict(targets)
    unrated = np.full(d, np.nan)
    found = []
    for pair, slots in sorted(listed.items()):
        for k in range(max(map(len, slots))):
            preference = np.array([values[k] if k < len(values) else np.nan for values in slots])
            rated = np.stack([left.pop(i, unrated) for i in pair])
            found.append(Item((place[pair[0]], place[pair[1]]), rated, preference))
    return [*found, *(Item((place[i],), row[None], unrated) for i, row in sorted(left.items()))]


def _missing(dimension: str, learn_from: LearnFrom, count: int) -> str:
    kind = "labels" if learn_from == "either" else learn_from
    other = "comparisons" if learn_from == "ratings" else "ratings"
    remedy = "" if learn_from == "either" else f'set reward.learn_from = "{other}", '
    return (
        f"no {kind} to learn {dimension} from (on {count} training prompts): import some, "
        f"{remedy}or take {dimension} out of project.dimensions"
    )
