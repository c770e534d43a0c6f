"""A scenario's known truth as the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.record import Verdicts
from trueline.records import DIMENSIONS, Exchange, Scores
from trueline.scenarios.base import Scenario


@dataclass(frozen=True)
class TruthJudge:
    """dimensions: some of those that a `Truth` grades, 0 to 1 each."""

    scenario: Scenario
    dimensions: tuple[str, ...] = DIMENSIONS
    name: str = "the known truth"

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts:
        truths = [self.scenario.truth(e) for e in exchanges]
        grades = [[t.grade(d) for d in self.dimensions] for t in truths]
        return Verdicts(
            Scores(self.dimensions, np.array(grades, dtype=np.float64).reshape(-1, len(self.dimensions))),
            _verdicts([t.safe for t in truths]),
            _verdicts([t.consistent for t in truths]),
        )

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        return by_scores(self.rate, before, after)


def _verdicts(found: Sequence[bool | None]) -> np.ndarray | None:
    """(n,) bool; None where the scenario has no such verdict."""
    return None if any(x is None for x in found) else np.array(found, dtype=bool)
