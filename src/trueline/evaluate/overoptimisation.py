"""When a learned reward rises and what it stands for falls: the published curves.

Gao, Schulman and Hilton 2023, "Scaling laws for reward model overoptimization": the true reward gained at
the distance d = √KL from where the policy started is

    best of n:                 R(d) = d (α - β d)        peak at α / (2 β)
    reinforcement learning:    R(d) = d (α - β log d)    peak at exp(α / β - 1)

Letters: k points of a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trueline.errors import InputError

Form = Literal["best_of_n", "rl"]


@dataclass(frozen=True)
class Curve:
    """A fitted curve: α and β with standard errors, the share of the gains' variance that it explains.

    peak: d where it is highest, None where it has no peak (β is not positive); peak_gain: its value there; peak_seen:
    whether a point lies at the peak or beyond. The peak's KL is peak².
    """

    form: Form
    alpha: float
    beta: float
    alpha_error: float
    beta_error: float
    peak: float | None
    peak_gain: float | None
    peak_seen: bool
    r_squared: float


def fit_curve(form: Form, kl: np.ndarray, gain: np.ndarray, errors: np.ndarray | None = None) -> Curve:
    """(k,) kl, nats; gain: true reward less that at the start; errors: its standard errors, which weigh the points.

    Least squares, both forms being linear in α and β; without errors the scatter about the curve gives theirs. Points
    of no KL, or less as an estimate may be, are left out: both curves are 0 there. InputError: fewer than three others.
    """
    kl = np.asarray(kl, dtype=np.float64)
    moved = kl > 0
    d, gain = np.sqrt(kl[moved]), np.asarray(gain, dtype=np.float64)[moved]
    if len(np.unique(d)) < 3:
        raise InputError("a curve of over-optimisation needs three points at different KL above 0; evaluate more steps")
    design = np.stack([d, -d * (d if form == "best_of_n" else np.log(d))], axis=1)
    weight = np.ones(len(d)) if errors is None else 1 / np.asarray(errors, dtype=np.float64)[moved] ** 2
    covariance = np.linalg.inv(design.T @ (weight[:, None] * design))
    alpha, beta = (covariance @ design.T @ (weight * gain)).tolist()
    rest = gain - design @ [alpha, beta]
    left, all_ = (weight * rest**2).sum(), (weight * (gain - np.average(gain, weights=weight)) ** 2).sum()
    alpha_error, beta_error = np.sqrt(np.diag(covariance) * (left / (len(d) - 2) if errors is None else 1.0)).tolist()
    peak = _peak(form, alpha, beta)
    return Curve(
        form,
        alpha,
        beta,
        alpha_error,
        beta_error,
        peak,
        None if peak is None else float(value(form, alpha, beta, np.array([peak]))[0]),
        peak is not None and bool(d.max() >= peak),
        float(1 - left / all_) if all_ > 0 else float("nan"),
    )


def value(form: Form, alpha: float, beta: float, d: np.ndarray) -> np.ndarray:
    """(k,) R at the distances d ≥ 0."""
    bent = d if form == "best_of_n" else np.log(np.where(d > 0, d, 1.0))
    return np.asarray(d * (alpha - beta * bent))


def _peak(form: Form, alpha: float, beta: float) -> float | None:
    if beta <= 0:
        return None
    if form == "best_of_n":
        return alpha / (2 * beta) if alpha > 0 else None
    # Beyond e^100 there is no peak that anybody could reach.
    return float(np.exp(alpha / beta - 1)) if alpha / beta < 100 else None
