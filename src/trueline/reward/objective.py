"""From scores in several dimensions to the one number that reinforcement learning maximises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trueline.errors import RunError
from trueline.feedback.privacy.masking import without_personal
from trueline.records import Scores


@dataclass(frozen=True)
class Objective:
    """A weighted sum of the dimensions and of what is checked by rule (checks: what each counts), less a penalty for
    unfinished answers, held within plus and minus clip.
    """

    weights: Mapping[str, float]
    unfinished_penalty: float
    clip: float
    checks: Mapping[str, float] = field(default_factory=dict)

    def total(
        self,
        scores: Scores,
        finished: np.ndarray,
        texts: Sequence[str],
        checked: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """(n,) float64 from (n, d) scores and (n,) values by check; RunError names the dimension, or the check, and the
        text of a reward that is no number.
        """
        bad = np.argwhere(~np.isfinite(scores.values))
        if len(bad):
            row, column = bad[0]
            raise RunError(
                f"the {scores.dimensions[column]} reward is {scores.values[row, column]} for the answer "
                f"{shorten(texts[row])!r}; refit the reward model, then go on with `trueline resume`"
            )
        weights = np.array([self.weights.get(d, 0.0) for d in scores.dimensions])
        total = scores.values @ weights - self.unfinished_penalty * ~finished.astype(bool)
        for name, values in (checked or {}).items():
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values))[0])
                text = shorten(texts[row])
                raise RunError(f"the check {name!r} gave {values[row]} for the answer {text!r}; that is no number")
            total = total + self.checks.get(name, 0.0) * values
        return np.clip(total, -self.clip, self.clip)


def shorten(text: str, limit: int = 80) -> str:
    """For an error, which may end in a log file: without personal data of a known form."""
    text = without_personal(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
