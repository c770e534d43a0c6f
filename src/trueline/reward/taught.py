"""A dimension's labels as rows of a linear problem, each known by what was said, so that its influence can be told.

Letters: n labels, a answers, f features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Comparison, Rating
from trueline.reward.design import Design
from trueline.reward.dual import DERIVATIVES, Rows
from trueline.reward.labels import rating_targets

POLISH, FLAT, STRIDES = 10, 1e-8, (1.0, 0.5, 0.25, 0.125)
FLATTER = 0.9  # a step that leaves more of the slopes is the last: rounding, or a loss with corners
Said = tuple[Rating | Comparison, ...]
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Taught:
    """Labels of one dimension: weights by their keys, in the order of the rows; targets (n,): signs or mean ratings."""

    kind: str
    weights: Mapping[Key, float]
    targets: np.ndarray

    def rows(self, x: Design, place: Mapping[str, int], fit: tuple[str, float, np.ndarray, float]) -> Rows:
        """fit: the model's kind, and its penalty, weights and intercept in this dimension."""
        kind, penalty, w, b = fit
        n, rated = len(self.weights), self.kind == "ratings"
        first, second = (np.array([place.get(key[side], -1) for key in self.weights]) for side in (0, 1))
        at, column, value = np.arange(n), first, np.full(n, 1.0 if rated else -1.0)
        if not rated:
            at, column, value = np.tile(at, 2), np.append(first, second), np.append(value, np.ones(n))
        pick = csr_matrix((value, (at, column)), shape=(n, len(place)))
        weights, loss = np.array(list(self.weights.values())), DERIVATIVES[kind, self.kind]

        def rows_at(predicted: np.ndarray) -> Rows:
            slope, curve = loss(self.targets, predicted)
            return Rows.of(x, pick, (weights * slope, weights * curve), penalty, intercept=rated)

        predicted = pick @ (x @ w) + (b if rated else 0.0)
        return _at_the_bottom(rows_at, w, predicted)


def _at_the_bottom(rows_at: Callable[[np.ndarray], Rows], w: np.ndarray, predicted: np.ndarray) -> Rows:
    """Solvers stop a little before the bottom, where the shares of many labels do not yet sum to the weights: the last
    Newton steps are made here, each as far as the slopes become flatter.
    """
    rows = rows_at(predicted)
    left = rows.left(w)
    for _ in range(POLISH):
        if left < FLAT:
            break
        less, lower = rows.step(w)
        for far in STRIDES:
            there, found = w - far * less, predicted - far * lower
            next_rows = rows_at(found)
            if (less_left := next_rows.left(there)) < left:
                break
        else:
            break
        w, predicted, rows, before, left = there, found, next_rows, left, less_left
        if left > FLATTER * before:
            break
    return rows


def taught_by(snapshot: FeedbackSnapshot, dimension: str, learn_from: str) -> Taught:
    """As the linear kinds take their labels; one that was drawn twice is one of twice the weight."""
    if learn_from != "comparisons":
        found = rating_targets(snapshot, dimension)
        if learn_from == "ratings" or len(set(found.groups)) > 1:
            keys = [(i, "", "") for i in found.ids]
            return Taught("ratings", dict(zip(keys, found.weights.tolist(), strict=True)), found.values)
    weights, signs = Counter[Key](), dict[Key, float]()
    for c in snapshot.comparisons:
        if c.dimension == dimension and c.preference != 0:
            weights[key_of((c,))] += abs(c.preference)
            signs[key_of((c,))] = float(np.sign(c.preference))
    return Taught("comparisons", weights, np.array(list(signs.values())))


def labels_of(snapshot: FeedbackSnapshot, dimension: str) -> list[Said]:
    """Everything that was said in a dimension: the ratings of an answer together, and each comparison."""
    rated: dict[str, list[Rating]] = {}
    for r in snapshot.ratings:
        if r.dimension == dimension and r.value is not None:
            rated.setdefault(r.completion_id, []).append(r)
    compared = (c for c in snapshot.comparisons if c.dimension == dimension and c.preference != 0)
    return [*map(tuple, rated.values()), *((c,) for c in compared)]


def key_of(said: Said) -> Key:
    """A label among those of its dimension."""
    one = said[0]
    return (one.completion_id, "", "") if isinstance(one, Rating) else (one.a_id, one.b_id, one.annotator.name)
