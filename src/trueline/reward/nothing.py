"""A reward model that has learned nothing, for an objective of checks alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from trueline import durable
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Exchange, Scores
from trueline.reward.base import Attribution, FitReport

HEAD: dict[str, Any] = {"kind": "none", "config": {}}


class NoReward:
    """It has no dimensions, so that it adds nothing to anything. Any labels teach it as little."""

    dimensions: tuple[str, ...] = ()
    temperature = np.zeros(0)

    def fit(self, snapshot: FeedbackSnapshot) -> FitReport:
        return FitReport({}, snapshot.sha256, 0.0)

    def score(self, exchanges: Sequence[Exchange]) -> Scores:
        return Scores((), np.zeros((len(exchanges), 0)))

    def explain(self, exchange: Exchange) -> Attribution:
        return Attribution((), (), ())

    def save(self, folder: Path) -> None:
        def fill(pending: Path) -> None:
            durable.write_json(pending / "model.json", HEAD)

        durable.write_folder(folder, fill)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()
