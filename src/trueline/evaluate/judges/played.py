"""What episodes have come to: the judge of prompts that are played in an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange, Scores
from trueline.scenarios.environments import is_played, success_of


@dataclass(frozen=True)
class PlayedJudge:
    """The success of an episode by its final state, 0 to 1; nan, no verdict, for what is not played."""

    name: str = "the task's success"

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts:
        found = [success_of(e) if is_played(e.prompt) else np.nan for e in exchanges]
        return Verdicts(Scores(("success",), np.array(found, dtype=np.float64).reshape(-1, 1)))

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        return by_scores(self.rate, before, after)
