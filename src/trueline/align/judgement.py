"""What a training run is told of its answers, checked before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trueline.errors import RunError, TruelineError
from trueline.records import Exchange
from trueline.reward.objective import shorten

GO_ON = "mend it and go on with `trueline resume`"


@dataclass(frozen=True)
class Judgement:
    """The objective's reward of each answer, (n,) float64, and what is worth watching, by name."""

    rewards: np.ndarray
    metrics: dict[str, float]


Judge = Callable[[Sequence[Exchange]], Judgement]


def judged(judge: Judge, exchanges: Sequence[Exchange]) -> Judgement:
    """The judge's rewards; RunError where it raises, gives None, too few or too many, or one that is no number."""
    try:
        found = judge(exchanges)
        rewards = np.asarray(found.rewards, dtype=np.float64)
    except TruelineError:
        raise
    except Exception as error:
        raise RunError(f"the reward failed ({type(error).__name__}: {error}); {GO_ON}") from error
    if rewards.shape != (len(exchanges),):
        raise RunError(f"the reward gave {rewards.size} numbers for {len(exchanges)} answers; {GO_ON}")
    bad = np.flatnonzero(~np.isfinite(rewards))
    if len(bad):
        text = shorten(exchanges[int(bad[0])].completion.text)
        raise RunError(f"the reward of {text!r} is {rewards[bad[0]]}, which is no number; {GO_ON}")
    return replace(found, rewards=rewards)
