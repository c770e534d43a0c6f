"""From scores in several dimensions to the one number that reinforcement learning maximises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trueline.errors import RunError
from trueline.records import Scores


@dataclass(frozen=True)
class Objective:
    """A weighted sum of the dimensions, less a penalty for unfinished answers, held within plus and minus clip."""

    weights: Mapping[str, float]
    unfinished_penalty: float
    clip: float

    def total(self, scores: Scores, finished: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """(n,) float64 from (n, d) scores; RunError names the dimension and the text of a reward that is no number."""
        bad = np.argwhere(~np.isfinite(scores.values))
        if len(bad):
            row, column = bad[0]
            raise RunError(
                f"the {scores.dimensions[column]} reward is {scores.values[row, column]} for the answer "
                f"{shorten(texts[row])!r}; refit the reward model, then go on with `trueline resume`"
            )
        weights = np.array([self.weights.get(d, 0.0) for d in scores.dimensions])
        total = scores.values @ weights - self.unfinished_penalty * ~finished.astype(bool)
        return np.clip(total, -self.clip, self.clip)


def shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
