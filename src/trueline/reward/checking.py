"""How a fitted model does on prompts it never saw: the same figures for every kind."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import expit
from scipy.stats import spearmanr

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores
from trueline.reward.base import DimensionFit
from trueline.reward.calibrate import expected_calibration_error
from trueline.reward.labels import ordered_pairs, rating_targets
from trueline.reward.scale import log_lengths

ENOUGH = 20


class Scorer(Protocol):
    dimensions: tuple[str, ...]

    def score(self, exchanges: list[Exchange]) -> Scores: ...


def check(
    model: Scorer, test: FeedbackSnapshot, dimension: str, n_train: int, temperature: float = float("nan")
) -> DimensionFit:
    """The figures of one dimension on the labels of held-out prompts."""
    column = model.dimensions.index(dimension)
    pairs, targets = ordered_pairs(test, dimension), rating_targets(test, dimension)
    ids = sorted({i for pair in pairs for i in pair} | set(targets.ids))
    if not ids:
        return DimensionFit(None, 0, None, n_train)
    exchanges = [test.exchange(i) for i in ids]
    values = model.score(exchanges).values[:, column]
    score = dict(zip(ids, values.tolist(), strict=True))
    margins = np.array([score[better] - score[worse] for worse, better in pairs])
    rated = np.array([score[i] for i in targets.ids])
    varied = len(rated) > 2 and rated.std() > 0 and targets.values.std() > 0
    return DimensionFit(
        accuracy=float(np.mean(margins > 0)) if pairs else None,
        n_pairs=len(pairs),
        pearson=float(np.corrcoef(rated, targets.values)[0, 1]) if varied else None,
        n_train=n_train,
        length_correlation=_length_correlation(values, log_lengths(exchanges)),
        calibration_error=_calibration_error(margins, temperature),
    )


def _length_correlation(values: np.ndarray, lengths: np.ndarray) -> float | None:
    # Not the deviation, which rounding leaves above 0 where all are the same.
    if len(values) < ENOUGH or np.ptp(values) < 1e-9 or np.ptp(lengths) < 1e-9:
        return None
    return float(spearmanr(values, lengths).statistic)


def _calibration_error(margins: np.ndarray, temperature: float) -> float | None:
    """ECE of P(preferred): every pair counts in both orders, as neither side is the first by nature."""
    if len(margins) < ENOUGH or not np.isfinite(temperature):
        return None
    both = expit(np.concatenate([margins, -margins]) / temperature)
    hits = np.concatenate([np.ones(len(margins)), np.zeros(len(margins))])
    return expected_calibration_error(both, hits)
