"""What every reward model does. A score is a reward: higher is better. Goodness of fit is reported apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores


@dataclass(frozen=True)
class DimensionFit:
    """How well one dimension was learned, on prompts that the fit never saw.

    accuracy: share of held-out pairs of answers to one prompt ordered as people ordered them (ties left out);
    n_pairs: their number; pearson: correlation with the held-out mean ratings, None without ratings;
    n_train: labels learned from; length_correlation: Spearman of held-out scores with length; calibration_error: ECE of
    the held-out pairs' probabilities. None where there is too little to tell.
    """

    accuracy: float | None
    n_pairs: int
    pearson: float | None
    n_train: int
    length_correlation: float | None = None
    calibration_error: float | None = None


@dataclass(frozen=True)
class FitReport:
    dimensions: Mapping[str, DimensionFit]
    snapshot_sha256: str
    seconds: float


@dataclass(frozen=True)
class Attribution:
    """Why an exchange got its score in each dimension: for each, `base` plus the sum of `parts` is the score."""

    dimensions: tuple[str, ...]
    base: tuple[float, ...]
    parts: tuple[Mapping[str, float], ...]


class RewardModel(Protocol):
    """Saved ones are read back by `registry.load_reward`.

    temperature (d,): P(b preferred to a) = sigmoid((score of b - score of a) / temperature); nan where not known."""

    dimensions: tuple[str, ...]

    @property
    def temperature(self) -> np.ndarray: ...
    def fit(self, snapshot: FeedbackSnapshot) -> FitReport: ...
    def score(self, exchanges: Sequence[Exchange]) -> Scores: ...
    def explain(self, exchange: Exchange) -> Attribution: ...
    def save(self, folder: Path) -> None: ...
