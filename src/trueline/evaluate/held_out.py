"""Labels and scores side by side, one dimension at a time: what every figure of a reward model is computed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange
from trueline.reward.base import RewardModel
from trueline.reward.labels import rating_targets
from trueline.reward.scale import log_lengths


@dataclass(frozen=True)
class ScoredAnswers:
    """Scores of answers by completion id. values, std: (n, d); row: the place of each id; lengths: (n,) log words."""

    dimensions: tuple[str, ...]
    exchanges: tuple[Exchange, ...]
    row: dict[str, int]
    values: np.ndarray
    std: np.ndarray | None
    lengths: np.ndarray


@dataclass(frozen=True)
class ScoredPairs:
    """p pairs of answers to one prompt, in one dimension.

    a, b: completion ids; preference: (p,) -1 where people preferred a, 0 tie, 1 b; margin: (p,) score of b less that of
    a; std: (p,) the margin's, None where the model gives none; longer: (p,) sign of b's length less that of a.
    """

    a: list[str]
    b: list[str]
    prompts: list[str]
    preference: np.ndarray
    margin: np.ndarray
    std: np.ndarray | None
    longer: np.ndarray


@dataclass(frozen=True)
class ScoredRatings:
    """n rated answers in one dimension.

    mean: (n,) mean rating freed of each annotator's level; raw: (n,) plain mean; score, std (None where the model gives
    none) and log_length: (n,).
    """

    ids: list[str]
    prompts: list[str]
    mean: np.ndarray
    raw: np.ndarray
    score: np.ndarray
    std: np.ndarray | None
    log_length: np.ndarray


def score_answers(model: RewardModel, snapshot: FeedbackSnapshot) -> ScoredAnswers:
    """Score every labelled answer once."""
    ids = sorted(
        {r.completion_id for r in snapshot.ratings} | {i for c in snapshot.comparisons for i in (c.a_id, c.b_id)}
    )
    exchanges = tuple(snapshot.exchange(i) for i in ids)
    empty = np.zeros((0, len(model.dimensions)))
    scores = model.score(exchanges) if exchanges else None
    return ScoredAnswers(
        model.dimensions,
        exchanges,
        {i: k for k, i in enumerate(ids)},
        scores.values if scores else empty,
        scores.std if scores else None,
        log_lengths(exchanges),
    )


def scored_pairs(scored: ScoredAnswers, snapshot: FeedbackSnapshot, dimension: str) -> ScoredPairs:
    """Pairs as people order them, ties kept: by comparison where there are any, else by mean rating."""
    found = [(c.a_id, c.b_id, float(np.sign(c.preference))) for c in snapshot.comparisons if c.dimension == dimension]
    found = found or _rated_pairs(snapshot, dimension)
    a, b = [p[0] for p in found], [p[1] for p in found]
    column = scored.dimensions.index(dimension)
    left, right = _rows(scored, a), _rows(scored, b)
    std = None if scored.std is None else np.hypot(scored.std[left, column], scored.std[right, column])
    return ScoredPairs(
        a,
        b,
        [snapshot.completions[i].prompt_id for i in a],
        np.array([p[2] for p in found]),
        scored.values[right, column] - scored.values[left, column],
        std,
        np.sign(scored.lengths[right] - scored.lengths[left]),
    )


def scored_ratings(scored: ScoredAnswers, snapshot: FeedbackSnapshot, dimension: str) -> ScoredRatings:
    targets = rating_targets(snapshot, dimension)
    column, rows = scored.dimensions.index(dimension), _rows(scored, targets.ids)
    marks: dict[str, list[float]] = defaultdict(list)
    for r in snapshot.ratings:
        if r.dimension == dimension and r.value is not None:
            marks[r.completion_id].append(r.value)
    return ScoredRatings(
        targets.ids,
        targets.groups,
        targets.values,
        np.array([np.mean(marks[i]) for i in targets.ids]),
        scored.values[rows, column],
        None if scored.std is None else scored.std[rows, column],
        scored.lengths[rows],
    )


def _rated_pairs(snapshot: FeedbackSnapshot, dimension: str) -> list[tuple[str, str, float]]:
    targets = rating_targets(snapshot, dimension)
    groups: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for i, value, group in zip(targets.ids, targets.values, targets.groups, strict=True):
        groups[group].append((i, float(value)))
    return [
        (i, j, 0.0 if abs(y - x) <= 1e-9 else float(np.sign(y - x)))
        for members in groups.values()
        for k, (i, x) in enumerate(members)
        for j, y in members[k + 1 :]
    ]


def _rows(scored: ScoredAnswers, ids: Sequence[str]) -> np.ndarray:
    return np.array([scored.row[i] for i in ids], dtype=int)
