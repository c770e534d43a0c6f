"""A reward model as the judge: held out, learned from other people's labels than those that trained the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.judges.base import by_scores
from trueline.evaluate.record import Verdicts
from trueline.records import Exchange
from trueline.reward.base import RewardModel


@dataclass(frozen=True)
class RewardJudge:
    model: RewardModel
    name: str = "a reward model of other people's labels"

    def rate(self, exchanges: Sequence[Exchange]) -> Verdicts:
        return Verdicts(self.model.score(exchanges))

    def compare(self, before: Sequence[Exchange], after: Sequence[Exchange]) -> np.ndarray:
        return by_scores(self.rate, before, after)
