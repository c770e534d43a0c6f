"""From a snapshot's labels to what a linear model learns from: targets a completion, or signed pairs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from trueline.feedback.snapshot import FeedbackSnapshot


@dataclass(frozen=True)
class Targets:
    """ids: completions; values: (n,) their mean rating, freed of each annotator's own level; groups: their prompts."""

    ids: list[str]
    values: np.ndarray
    weights: np.ndarray
    groups: list[str]


@dataclass(frozen=True)
class Pairs:
    """a, b: completions of one prompt; sign: (n,) +1 where b was preferred, -1 where a; weights: how clearly, 1..3."""

    a: list[str]
    b: list[str]
    sign: np.ndarray
    weights: np.ndarray
    groups: list[str]


def rating_targets(snapshot: FeedbackSnapshot, dimension: str) -> Targets:
    """Mean rating of each completion after taking away how far each annotator is from everybody's mean.

    Strict and lenient people thus become comparable; it assumes that work is given out at random. Not for people
    with fewer than 5 ratings. "Not applicable" counts for nothing.
    """
    rated = [r for r in snapshot.ratings if r.dimension == dimension and r.value is not None]
    by_person: dict[str, list[float]] = defaultdict(list)
    for r in rated:
        by_person[r.annotator.name].append(float(r.value or 0))
    overall = float(np.mean([r.value for r in rated])) if rated else 0.0
    offset = {name: float(np.mean(v)) - overall if len(v) >= 5 else 0.0 for name, v in by_person.items()}
    found: dict[str, list[float]] = defaultdict(list)
    for r in rated:
        found[r.completion_id].append(float(r.value or 0) - offset[r.annotator.name])
    ids = sorted(found)
    return Targets(
        ids,
        np.array([np.mean(found[i]) for i in ids]),
        np.array([float(len(found[i])) for i in ids]),
        [snapshot.completions[i].prompt_id for i in ids],
    )


def preference_pairs(snapshot: FeedbackSnapshot, dimension: str) -> Pairs:
    """Every comparison with a winner."""
    found = [c for c in snapshot.comparisons if c.dimension == dimension and c.preference != 0]
    return Pairs(
        [c.a_id for c in found],
        [c.b_id for c in found],
        np.array([1.0 if c.preference > 0 else -1.0 for c in found]),
        np.array([float(abs(c.preference)) for c in found]),
        [snapshot.completions[c.a_id].prompt_id for c in found],
    )


def ordered_pairs(snapshot: FeedbackSnapshot, dimension: str) -> list[tuple[str, str]]:
    """(worse, better) completions of one prompt as people order them, by comparison or by mean rating; no ties."""
    pairs = preference_pairs(snapshot, dimension)
    if pairs.a:
        return [(a, b) if s > 0 else (b, a) for a, b, s in zip(pairs.a, pairs.b, pairs.sign, strict=True)]
    targets = rating_targets(snapshot, dimension)
    groups: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for i, value, group in zip(targets.ids, targets.values, targets.groups, strict=True):
        groups[group].append((i, float(value)))
    return [
        (i, j) if x < y else (j, i)
        for members in groups.values()
        for k, (i, x) in enumerate(members)
        for j, y in members[k + 1 :]
        if abs(x - y) > 1e-9
    ]
