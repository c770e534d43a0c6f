"""Does a reward model know when it is wrong? Its error against the share that is kept, most certain first.

Risk-coverage and its area as Geifman and El-Yaniv (2017). Only for models that give a standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueline.evaluate.by_prompt import bootstrap_by_prompt
from trueline.evaluate.held_out import ScoredPairs, ScoredRatings
from trueline.evaluate.reward_metrics import ENOUGH, spearman
from trueline.evaluate.statistics import Interval

POINTS = 50


@dataclass(frozen=True)
class Risk:
    """of: "pairs" (share ordered wrongly, certainty = margin over its deviation) or "ratings" (mean absolute residual
    of the ratings' regression on the scores, certainty = 1 over the deviation).

    curve: (coverage, risk); area: mean risk over all coverages; chance: the same if certainty said nothing;
    grows: Spearman of absolute residual and standard deviation, None without ratings.
    """

    of: str
    curve: tuple[tuple[float, float], ...]
    area: Interval | None
    chance: float
    grows: Interval | None


def risk(pairs: ScoredPairs, rated: ScoredRatings, resamples: int = 500, seed: int = 0) -> Risk | None:
    """None where the model gives no deviation, or there are fewer than 20 labels."""
    residual = _residual(rated) if len(rated.ids) >= ENOUGH else None
    grows = None
    if residual is not None and rated.std is not None:
        std = rated.std
        grows = bootstrap_by_prompt(rated.prompts, lambda r: spearman(residual[r], std[r]), resamples, seed)
    won = pairs.preference != 0
    if pairs.std is not None and won.sum() >= ENOUGH:
        error = ((pairs.margin * pairs.preference)[won] <= 0).astype(float)
        doubt = -np.abs(pairs.margin[won]) / np.maximum(pairs.std[won], 1e-12)
        prompts, of = [p for p, w in zip(pairs.prompts, won, strict=True) if w], "pairs"
    elif rated.std is not None and residual is not None:
        error, doubt, prompts, of = residual, rated.std, rated.prompts, "ratings"
    else:
        return None
    area = bootstrap_by_prompt(prompts, lambda r: float(risks(error[r], doubt[r]).mean()), resamples, seed)
    curve, n = risks(error, doubt), len(error)
    shown = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(int))
    return Risk(of, tuple(((i + 1) / n, float(curve[i])) for i in shown.tolist()), area, float(error.mean()), grows)


def risks(error: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """(n,) the mean error of the k least doubtful, for k = 1..n; those of equal doubt share theirs alike."""
    levels, place = np.unique(doubt, return_inverse=True)
    alike = np.bincount(place, error, len(levels)) / np.bincount(place, minlength=len(levels))
    ordered = np.sort(place)
    return np.asarray(np.cumsum(alike[ordered]) / np.arange(1, len(error) + 1))


def _residual(rated: ScoredRatings) -> np.ndarray:
    """(n,) absolute residuals of the least squares line: scores have a scale of their own."""
    x = rated.score - rated.score.mean()
    slope = float(x @ rated.mean) / max(float(x @ x), 1e-12)
    return np.asarray(np.abs(rated.mean - rated.mean.mean() - slope * x))
