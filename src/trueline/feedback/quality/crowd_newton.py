"""The most likely reliabilities and sides, once the scores are integrated out, and then the most likely scores.

Scores, which are many and of few judgements each, must not be maximised together with θ: where a completion has a
handful of judgements, its score follows those who happen to be strong, and θ runs away (Neyman and Scott 1948). So the
scores' posterior is taken for the nearest normal one, with mean μ and variance A⁻¹ (Opper and Archambeau 2009), which
bounds the marginal likelihood from below. The bound's gradient in θ and side is the mean of the full one over it, its
information about what Louis (1982) gives: D − Bᵀ A⁻¹ B. With fewer than about 5 judgements of each completion the most
reliable are drawn towards 1 by more than their standard errors tell, since a posterior of so few is not normal.

Priors are normal. While it works, scores have the spread that is guessed and the ρ any mean m; at the end scores and
spread are multiplied by e^m, and the ρ have mean 0.

Letters: n duels, i completions, j annotators, z nodes of quadrature, f free directions of people, who are (2j,): all ρ,
then all sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueline.feedback.quality.components import BlockInverse, Blocks

MOST_STEPS, TOLERANCE, LONGEST = 200, 1e-5, 1.0
NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
NODE_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()  # of a standard normal


@dataclass(frozen=True)
class Priors:
    """Standard deviations: of scores, of log reliabilities and of sides; 0 leaves one of the last two out of the model.

    factor: of the logarithm of how far the true spread of scores is from `score`; 0: it is known.
    """

    score: float = 1.0
    factor: float = 1.0
    reliability: float = 0.7
    side: float = 0.7


@dataclass(frozen=True)
class Duels:
    """left, right, who (n,) places; won (n,): 1 the right one, .5 a tie, 0."""

    left: np.ndarray
    right: np.ndarray
    who: np.ndarray
    won: np.ndarray
    completions: int
    annotators: int
    blocks: list[Blocks]


@dataclass(frozen=True)
class Fit:
    """score (i,), rho (j,), side (j,) with standard errors."""

    score: np.ndarray
    score_error: np.ndarray
    rho: np.ndarray
    rho_error: np.ndarray
    side: np.ndarray
    side_error: np.ndarray
    spread: float
    steps: int
    converged: bool


def fit(data: Duels, component: np.ndarray, priors: Priors) -> Fit:
    """It has converged where no parameter of people would move by more than 1e-5."""
    i, j = data.completions, data.annotators
    free, penalty = _free(j, priors)
    score, people, reach = np.zeros(i), np.zeros(2 * j), np.zeros(len(data.won))
    steps = 0
    while True:
        score, reach, inverse = _settle(data, score, people, priors.score, reach)
        covariance, solved, gradient = _information(data, score, reach, people, inverse, free, penalty)
        step = free @ _clipped(-covariance @ gradient)
        change = float(np.abs(step).max())
        steps += 1
        if change < TOLERANCE or steps == MOST_STEPS:
            break
        people = people + step
    score, _, inverse = _settle(data, score, people, priors.score)
    mean = float(people[:j].mean())
    # dρ and d side: the mean of the ρ is taken out. ds = e^m (s dm − A⁻¹ B dv), beside what is unsure where v is known.
    centred = free.copy()
    centred[:j] -= free[:j].mean(0)
    error = np.sqrt((centred @ covariance * centred).sum(1))
    moves = score[:, None] * free[:j].mean(0) - solved
    # What nothing but the prior knows, a component's level, is in no difference: its variance is taken out.
    own = np.maximum(inverse.diagonal(i) - priors.score**2 / np.bincount(component)[component], 0)
    return Fit(
        np.exp(mean) * score,
        np.exp(mean) * np.sqrt(own + (moves @ covariance * moves).sum(1)),
        people[:j] - mean,
        error[:j],
        people[j:],
        error[j:],
        float(np.exp(mean)) * priors.score,
        steps,
        change < TOLERANCE,
    )


def _free(j: int, priors: Priors) -> tuple[np.ndarray, np.ndarray]:
    """(2j, f) orthonormal directions that people may move in, and the (f,) inverse variances along them.

    The ρ by their mean, whose prior is that of the spread, and across it; then each side by itself.
    """
    axes = np.linalg.qr(np.column_stack([np.ones(j), np.eye(j)[:, 1:]]))[0]
    kept: list[tuple[np.ndarray, float]] = []
    if priors.factor > 0:
        kept.append((axes[:, :1], j * priors.factor**2))
    if priors.reliability > 0:
        kept.append((axes[:, 1:], priors.reliability**2))
    rho = np.concatenate([np.zeros((j, 0)), *(axis for axis, _ in kept)], axis=1)
    side = np.eye(j) if priors.side > 0 else np.zeros((j, 0))
    variances = [np.full(axis.shape[1], variance) for axis, variance in kept] + [np.full(side.shape[1], priors.side**2)]
    free = np.zeros((2 * j, rho.shape[1] + side.shape[1]))
    free[:j, : rho.shape[1]], free[j:, rho.shape[1] :] = rho, side
    return free, 1 / np.concatenate(variances)


def _clipped(step: np.ndarray) -> np.ndarray:
    return step * min(1.0, LONGEST / max(float(np.abs(step).max(initial=0)), 1e-300))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))


def _settle(
    data: Duels, score: np.ndarray, people: np.ndarray, spread: float, reach: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, BlockInverse]:
    """Newton's steps to the scores' mean, the (n,) deviation of each difference, and A⁻¹.

    Without reach, to their mode, which is the result and is found to 1e-9.
    """
    theta, side = np.exp(people[: data.annotators])[data.who], people[data.annotators :][data.who]
    at, enough = (np.zeros(len(data.won)), 1e-9) if reach is None else (reach, TOLERANCE)
    for _ in range(MOST_STEPS):
        x = _nodes(data, score, theta, at)
        chance = _sigmoid(x + side)
        slope, weight = NODE_WEIGHTS @ chance - data.won, NODE_WEIGHTS @ (chance * (1 - chance))
        inverse = BlockInverse.of(data.blocks, weight * theta**2, 1 / spread**2)
        pull = np.bincount(data.right, theta * slope, len(score)) - np.bincount(data.left, theta * slope, len(score))
        step = inverse.times((pull + score / spread**2)[:, None])[:, 0]
        # Far from the end a whole step may leap over it.
        step *= min(1.0, 2 * LONGEST / max(float(np.abs(step).max()), 1e-300))
        score, last = score - step, at
        if reach is not None:
            at = np.sqrt(np.maximum(inverse.spread(len(at)), 0))
        if max(np.abs(step).max(), np.abs(at - last).max()) < enough:
            break
    return score, at, inverse


def _nodes(data: Duels, score: np.ndarray, theta: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(z, n) θ times the difference of scores, at the z nodes of its posterior."""
    return theta * (score[data.right] - score[data.left] + reach * NODES[:, None])


def _information(
    data: Duels,
    score: np.ndarray,
    reach: np.ndarray,
    people: np.ndarray,
    inverse: BlockInverse,
    free: np.ndarray,
    penalty: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(f, f) covariance of the free directions, (i, f) A⁻¹ B and the (f,) gradient, all of the marginal likelihood."""
    j = data.annotators
    theta, side = np.exp(people[:j])[data.who], people[j:][data.who]
    x = _nodes(data, score, theta, reach)  # dη / dρ; dη / d side is 1, dη / d(right's score) is θ
    chance = _sigmoid(x + side)
    rest, w = chance - data.won, chance * (1 - chance)
    rho, flat, rho_rho, rho_side, side_side, crossed = (
        NODE_WEIGHTS @ mean for mean in (x * rest, rest, w * x**2 + rest * x, w * x, w, x * w + rest)
    )
    by = [np.bincount(data.who, term, j) for term in (rho, flat, rho_rho, rho_side, side_side)]
    gradient = free.T @ np.concatenate(by[:2]) + penalty * (free.T @ people)
    full = np.block([[np.diag(by[2]), np.diag(by[3])], [np.diag(by[3]), np.diag(by[4])]])
    inner = free.T @ full @ free + np.diag(penalty)
    b = np.concatenate([_crossed(data, theta * crossed), _crossed(data, theta * side_side)], axis=1) @ free
    solved = inverse.times(b)
    information = inner - b.T @ solved
    if len(information) and np.linalg.eigvalsh(information)[0] <= 1e-9:
        # Far from the solution it need not be positive: there expectation maximisation's step, by the full information.
        information = inner + (1e-6 + max(0.0, -float(np.linalg.eigvalsh(inner)[0]))) * np.eye(len(inner))
    return np.linalg.inv(information), solved, gradient


def _crossed(data: Duels, weight: np.ndarray) -> np.ndarray:
    """(i, j) sums of the weights over an annotator's duels: + for the right completion, − for the left."""
    i, j = data.completions, data.annotators
    right = np.bincount(data.right * j + data.who, weight, i * j)
    return (right - np.bincount(data.left * j + data.who, weight, i * j)).reshape(i, j)
