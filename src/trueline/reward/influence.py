"""Which labels moved a score: for linear kinds what each of them did to it, for neural ones the nearest judged answers.

Held as they are: the features, the penalty, and the scale, but that scores are counted from the average answer's. So
"moves" is what a score would lose if the model were learned again without a label; for ridge exactly, for the other
losses by one Newton step. Of an ensemble the mean of its members; a label that a member did not draw did nothing to it.

Letters: n labels, d dimensions, a answers, f features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, split_of
from trueline.reward.base import RewardModel
from trueline.reward.design import Design
from trueline.reward.dual import Rows
from trueline.reward.ensemble import Ensemble, resampled
from trueline.reward.linear import LinearReward
from trueline.reward.solvers import PRECISE
from trueline.reward.taught import Said, key_of, labels_of, taught_by

MORE = 3  # labels than are asked for, by each of two guesses, before leverages are worked out


@dataclass(frozen=True)
class Moved:
    """One label: all ratings of an answer in a dimension, which are learned from as one, or one comparison.

    raises: whether it raised the score, or speaks for a neighbour; moves: the score less what it would be without it;
    adds: its share, all of which sum to what the labels add; likeness: cosine of a neighbour. None: of the other kind.
    """

    said: Said
    raises: bool
    moves: float | None = None
    adds: float | None = None
    likeness: float | None = None


@dataclass(frozen=True)
class Moving:
    """Of one dimension. count: labels learned from; adds: what they add to the average answer's score (None for neural
    kinds); most: those that moved it most, or the nearest, first.
    """

    count: int
    adds: float | None
    most: tuple[Moved, ...]


class Influence(Protocol):
    def of(self, exchange: Exchange, k: int) -> dict[str, Moving]:
        """The k labels that moved an answer's score most, by dimension."""
        ...


def influence(model: RewardModel, snapshot: FeedbackSnapshot, cache: Path | None = None) -> Influence:
    """snapshot: what the model was learned from; cache: where a neural model's judged answers are kept as vectors.

    InputError where the snapshot is another one.
    """
    learned_from = (getattr(model, "report_", None) or {}).get("snapshot_sha256")
    if learned_from != snapshot.sha256:
        raise InputError("these labels are not those that the reward model was learned from; fit it again")
    members = model.members if isinstance(model, Ensemble) else [model]
    linear = [m for m in members if isinstance(m, LinearReward)]
    if len(linear) == len(members):
        with threadpool_limits(1, "blas"):
            return LinearInfluence.of_members(linear, snapshot)
    from trueline.reward.nearest import Nearest
    from trueline.reward.transformer import TransformerReward

    if not isinstance(members[0], TransformerReward):
        raise InputError("a reward model of this kind cannot say which labels moved its scores")
    return Nearest.open(members[0], snapshot, cache)


@dataclass(frozen=True)
class Member:
    """One linear model. rows: by dimension; row: by dimension, (n,) which row each label is, -1 where it is none; mean
    (f,): the average answer, in the space of the weights.
    """

    model: LinearReward
    rows: tuple[Rows, ...]
    row: tuple[np.ndarray, ...]
    mean: np.ndarray

    @classmethod
    def of(cls, model: LinearReward, drawn: FeedbackSnapshot, labels: Mapping[str, Sequence[Said]]) -> Member:
        """drawn: the labels that this one learned from, of those in `labels` perhaps some twice and some not at all."""
        fitted = model.fitted()
        kernel = fitted.kernel
        taught = [taught_by(drawn, d, model.config.learn_from) for d in model.dimensions]
        ids = sorted({i for each in taught for key in each.weights for i in key[:2] if i})
        x = _space(model, fitted.features.matrix([drawn.exchange(i) for i in ids]))
        x = x.precise() if x.dense.size <= PRECISE else x
        mean = fitted.mean if kernel is None else kernel.score_of(fitted.mean, kernel.root.T)
        weights = fitted.coef if kernel is None else np.linalg.lstsq(kernel.root, fitted.coef.T, rcond=None)[0].T
        place = {i: row for row, i in enumerate(ids)}
        penalties = (model.report_ or {})["penalties"]
        fits = [
            (model.kind, float(penalties[d]), weights[i], float(fitted.intercept[i]))
            for i, d in enumerate(model.dimensions)
        ]
        rows = tuple(each.rows(x, place, fit) for each, fit in zip(taught, fits, strict=True))
        at = [{key: row for row, key in enumerate(each.weights)} for each in taught]
        row = tuple(
            np.array([found.get(key_of(said), -1) for said in labels[d]], dtype=np.int64)
            for d, found in zip(model.dimensions, at, strict=True)
        )
        return cls(model, rows, row, mean)

    def way(self, exchange: Exchange) -> np.ndarray:
        """(f,) from the average answer to this one."""
        return _space(self.model, self.model.fitted().features.matrix([exchange])).toarray()[0] - self.mean

    def adds(self, i: int, way: np.ndarray) -> np.ndarray:
        """(n,) the labels' shares in the score of dimension i."""
        return self._spread(i, self.rows[i].shares(way))

    def pulls(self, i: int, way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) what each label moved without its own leverage, and with what is guessed of it."""
        found = self.rows[i].pulls(way)
        return self._spread(i, found), self._spread(i, found / (1 - self.rows[i].guess))

    def moves(self, i: int, pulls: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """(s,) what some labels moved; pulls (n,)."""
        rows = self.row[i][chosen]
        found = np.zeros(len(chosen))
        known = rows >= 0
        if known.any():
            found[known] = pulls[chosen[known]] / (1 - self.rows[i].leverages(rows[known]))
        return found

    def _spread(self, i: int, found: np.ndarray) -> np.ndarray:
        """From rows to labels, and to the units of the score."""
        row = self.row[i]
        return np.where(row >= 0, found[row] / self.model.fitted().scale.spread[i], 0.0)


@dataclass(frozen=True)
class LinearInfluence:
    """labels: by dimension, what was said."""

    labels: Mapping[str, Sequence[Said]]
    members: tuple[Member, ...]

    @classmethod
    def of_members(cls, members: Sequence[LinearReward], snapshot: FeedbackSnapshot) -> LinearInfluence:
        known = {i for i, p in snapshot.prompts.items() if split_of(p) != "test"}
        drawn = [resampled(snapshot, i).of_prompts(known) for i in range(len(members))]
        labels = {d: labels_of(drawn[0], d) for d in members[0].dimensions}
        return cls(labels, tuple(Member.of(m, each, labels) for m, each in zip(members, drawn, strict=True)))

    def of(self, exchange: Exchange, k: int) -> dict[str, Moving]:
        with threadpool_limits(1, "blas"):
            ways = [m.way(exchange) for m in self.members]
            return {d: self._moving(i, d, ways, k) for i, d in enumerate(self.labels)}

    def _moving(self, i: int, dimension: str, ways: Sequence[np.ndarray], k: int) -> Moving:
        """By two guesses some labels are chosen, and what they moved is worked out for these alone."""
        labels, both = self.labels[dimension], list(zip(self.members, ways, strict=True))
        adds = np.mean([m.adds(i, way) for m, way in both], axis=0)
        count = int(np.any([m.row[i] >= 0 for m in self.members], axis=0).sum())
        if k < 1:
            return Moving(count, float(adds.sum()), ())
        pulls, guesses = zip(*(m.pulls(i, way) for m, way in both), strict=True)
        chosen = np.union1d(*(_largest(np.mean(each, axis=0), MORE + k) for each in (pulls, guesses)))
        moves = np.mean([m.moves(i, pull, chosen) for m, pull in zip(self.members, pulls, strict=True)], axis=0)
        most = [
            Moved(labels[chosen[o]], bool(moves[o] > 0), float(moves[o]), float(adds[chosen[o]]))
            for o in _largest(moves, k)
            if moves[o] != 0
        ]
        return Moving(count, float(adds.sum()), tuple(most))


def _space(model: LinearReward, x: Design) -> Design:
    """Features as the weights see them."""
    kernel = model.fitted().kernel
    return x if kernel is None else kernel.map(x)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """The places of the k largest, either way, largest first."""
    return np.argsort(-np.abs(values), kind="stable")[:k]
