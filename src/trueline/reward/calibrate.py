"""From scores to probabilities that can be believed, and how far they can be: temperature, Platt, isotonic, ECE."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

BINS = 10


def temperature(margins: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The T that makes sigmoid(margin / T) most likely, for (n,) margins of the preferred answer over the other.

    Guo et al. 2017. Within [0.01, 100]; the upper end says that the margins tell nothing.
    """
    margins = np.asarray(margins, dtype=np.float64)
    share = np.ones(len(margins)) if weights is None else np.asarray(weights, dtype=np.float64)

    def loss(log_t: float) -> float:
        return float(share @ np.logaddexp(0, -margins / np.exp(log_t)))

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.01, 100.0]), method="bounded").x))


def platt(scores: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """a, b of P(hit) = sigmoid(a score + b), (n,) scores and 0/1; with Platt's smoothed targets (1999)."""
    scores, hits = np.asarray(scores, dtype=np.float64), np.asarray(hits, dtype=bool)
    positive, negative = hits.sum(), (~hits).sum()
    target = np.where(hits, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        z = ab[0] * scores + ab[1]
        error = expit(z) - target
        return float(np.sum(np.logaddexp(0, z) - target * z)), np.array([error @ scores, error.sum()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return float(found[0]), float(found[1])


def isotonic(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots and levels of the best non-decreasing P(hit | score) (Zadrozny and Elkan 2002); between knots np.interp."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, np.asarray(hits, dtype=float))
    return np.asarray(model.X_thresholds_), np.asarray(model.y_thresholds_)


def reliability(probabilities: np.ndarray, hits: np.ndarray, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Mean probability, share of hits and number, in each of `bins` equally wide bins that has any."""
    place = np.minimum((np.asarray(probabilities) * bins).astype(int), bins - 1)
    return [
        (float(probabilities[place == b].mean()), float(np.mean(hits[place == b])), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]


def expected_calibration_error(probabilities: np.ndarray, hits: np.ndarray, bins: int = BINS) -> float:
    """Mean gap of probability and share over the bins, weighed by their numbers (Naeini et al. 2015)."""
    found = reliability(np.asarray(probabilities, dtype=np.float64), np.asarray(hits, dtype=np.float64), bins)
    return sum(abs(p - share) * n for p, share, n in found) / max(1, sum(n for *_, n in found))
