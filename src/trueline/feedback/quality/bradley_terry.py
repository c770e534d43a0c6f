"""Bradley-Terry over completions by people who differ in how reliable they are and in which side they favour.

P(right ≻ left | j) = σ(η), η = θ_j (s_right − s_left) + side_j, with θ_j = exp ρ_j > 0: nobody is ever left out, the
weak only weigh less (Bradley and Terry 1952; Crowd-BT, Chen et al. 2013). A tie is half a win for each side.

Only differences within a component mean something: completions that a chain of comparisons joins, such as the answers
to one prompt. There scores have mean 0; the geometric mean of the θ is 1. How it is found: `crowd_newton`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.components import blocks_of, components
from trueline.feedback.quality.crowd_newton import Duels, Fit, Priors, fit


@dataclass(frozen=True)
class Duel:
    """One judgement of two completions as shown: preference > 0 where the right one is better, 0 for a tie."""

    left: str
    right: str
    annotator: str
    preference: float


@dataclass(frozen=True)
class BradleyTerry:
    """scores (i,), component (i,); reliabilities (j,) θ > 0 and sides (j,), > 0 for the right; each with its
    standard error: that of a score is of its distance from its component's mean, that of θ by the delta method.
    score_spread: standard deviation of the scores before anybody judged, as found or given.
    """

    completions: tuple[str, ...]
    scores: np.ndarray
    score_errors: np.ndarray
    component: np.ndarray
    annotators: tuple[str, ...]
    reliabilities: np.ndarray
    reliability_errors: np.ndarray
    sides: np.ndarray
    side_errors: np.ndarray
    score_spread: float
    iterations: int
    converged: bool


def bradley_terry(duels: Sequence[Duel], priors: Priors | None = None) -> BradleyTerry:
    """Memory: 8 bytes for each completion and parameter of a person, and for the square of each component's size."""
    if not duels:
        none = np.zeros(0)
        return BradleyTerry((), none, none, none.astype(int), (), none, none, none, none, 0.0, 0, True)
    names = list(dict.fromkeys(name for d in duels for name in (d.left, d.right)))
    people = sorted({d.annotator for d in duels})
    at, who = {name: i for i, name in enumerate(names)}, {name: i for i, name in enumerate(people)}
    left = np.array([at[d.left] for d in duels], dtype=np.int64)
    right = np.array([at[d.right] for d in duels], dtype=np.int64)
    if (left == right).any():
        raise ValueError(f"{names[int(left[left == right][0])]!r} is compared with itself")
    component = components(left, right, len(names))
    places = np.array([who[d.annotator] for d in duels], dtype=np.int64)
    won = (np.sign([d.preference for d in duels]) + 1) / 2
    data = Duels(left, right, places, won, len(names), len(people), blocks_of(left, right, component))
    return _named(fit(data, component, priors or Priors()), names, component, people)


def _named(found: Fit, names: list[str], component: np.ndarray, people: list[str]) -> BradleyTerry:
    theta = np.exp(found.rho)
    return BradleyTerry(
        tuple(names),
        found.score,
        found.score_error,
        component,
        tuple(people),
        theta,
        theta * found.rho_error,
        found.side,
        found.side_error,
        found.spread,
        found.steps,
        found.converged,
    )
