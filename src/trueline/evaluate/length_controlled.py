"""The win rate at equal lengths: judges, people and models alike, favour the longer answer.

Dubois et al. 2024, "Length-controlled AlpacaEval: a simple way to debias automatic evaluators", without the
term for how hard a prompt is, which takes many models to learn:

    P(after wins) = σ(θ + φ x),   x = tanh(d / std(d)),   d = length after - length before;   the figure is σ(θ).

Letters: n prompts, r resamples.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from trueline.evaluate.statistics import Interval, bca, bootstrap_mean, resampled_means, through
from trueline.feedback.quality.interval import Z

MOST_STEPS, LONGEST, TOLERANCE = 100, 2.0, 1e-10


def length_controlled_win_rate(
    wins: np.ndarray, length_before: np.ndarray, length_after: np.ndarray, resamples: int = 2000, seed: int = 0
) -> Interval | None:
    """(n,) wins: 1 after wins, 0 before does, between them a tie, nan no verdict; lengths (n,), in any unit.

    None where the answers after are all longer, or all shorter: at equal lengths nothing has been seen. Where all
    verdicts are the same, length explains nothing, and it is the plain win rate. Where length explains all of them,
    resamples agree without knowing: there the interval is Wald's. Otherwise a resample is fitted by one Newton
    step from the fit of all, as good as a whole one for this (Davidson and MacKinnon 1999); `bca`.
    """
    seen = np.isfinite(wins)
    won, difference = wins[seen].astype(np.float64), (length_after - length_before)[seen].astype(np.float64)
    if not len(won) or not difference.min() <= 0 <= difference.max():
        return None
    if not difference.any() or (won == won[0]).all():
        return bootstrap_mean(won, resamples, seed)
    design = np.stack([np.ones(len(won)), np.tanh(difference / difference.std())], axis=1)
    coefficients = fit_logistic(design, won)
    rest, weight = _rest(design, won, coefficients)
    if _separated(design[:, 1], won):
        reach = Z * float(np.linalg.inv(design.T @ (weight[:, None] * design))[0, 0]) ** 0.5
        theta = float(coefficients[0])
        return through(_chance, Interval(theta, theta - reach, theta + reach, len(won)))
    score, information = design * rest[:, None], weight[:, None, None] * design[:, :, None] * design[:, None, :]
    drawn = resampled_means(np.concatenate([score, information.reshape(-1, 4)], axis=1), resamples, seed)
    a, b, d = drawn[:, 2], drawn[:, 3], drawn[:, 5]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = coefficients[0] + (d * drawn[:, 0] - b * drawn[:, 1]) / (a * d - b**2)
    found = bca(float(coefficients[0]), moved, score @ np.linalg.inv(information.mean(0))[0])
    return through(_chance, found)


def fit_logistic(design: np.ndarray, won: np.ndarray) -> np.ndarray:
    """(k,) coefficients of a logistic regression of (n,) shares on an (n, k) design, by Firth's score (1993).

    It is finite where length tells every win (Heinze and Schemper 2002), and otherwise less biased than the likeliest.
    """
    coefficients = np.zeros(design.shape[1])
    for _ in range(MOST_STEPS):
        rest, weight = _rest(design, won, coefficients)
        step = np.linalg.solve(design.T @ (weight[:, None] * design), design.T @ rest)
        coefficients = coefficients + step * min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))
        if np.abs(step).max() < TOLERANCE:
            break
    return coefficients


def _rest(design: np.ndarray, won: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) won - p + h (1/2 - p), with the leverage h, and the (n,) weight p (1 - p)."""
    p = expit(design @ coefficients)
    weight = np.maximum(p * (1 - p), 1e-12)
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
    leverage = weight * ((design @ inverse) * design).sum(1)
    return won - p + leverage * (0.5 - p), weight


def _separated(x: np.ndarray, won: np.ndarray) -> bool:
    """Whether all x of answers that won lie on one side of all x of those that lost."""
    better, worse = x[won > 0.5], x[won < 0.5]
    if not len(better) or not len(worse):
        return False
    return bool(better.min() >= worse.max() or better.max() <= worse.min())


def _chance(odds: float) -> float:
    return float(expit(np.array(odds)))
