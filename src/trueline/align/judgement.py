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
    """The objective's reward of each answer, (n,) float64, and what is worth watching, by name.

    costs: (n,) the probability that each answer is bad, where a constraint holds their share under a limit.
    """

    rewards: np.ndarray
    metrics: dict[str, float]
    costs: np.ndarray | None = None

    @classmethod
    def joined(cls, parts: Sequence[Judgement]) -> Judgement:
        """What was said of several lists of answers as if of one; metrics are means, and so are theirs."""
        counts = [len(part.rewards) for part in parts]
        metrics = {
            name: float(np.average([part.metrics[name] for part in parts], weights=counts)) for name in parts[0].metrics
        }
        costs = [part.costs for part in parts if part.costs is not None]
        rewards = np.concatenate([part.rewards for part in parts])
        return cls(rewards, metrics, np.concatenate(costs) if costs else None)


Judge = Callable[[Sequence[Exchange]], Judgement]


def judged(judge: Judge, exchanges: Sequence[Exchange]) -> Judgement:
    """The judge's rewards and costs; RunError where it raises, gives None, too few or too many, or one that is no
    number."""
    try:
        found = judge(exchanges)
        rewards = np.asarray(found.rewards, dtype=np.float64)
        costs = None if found.costs is None else np.asarray(found.costs, dtype=np.float64)
    except TruelineError:
        raise
    except Exception as error:
        raise RunError(f"the reward failed ({type(error).__name__}: {error}); {GO_ON}") from error
    for name, values in (("reward", rewards), ("cost", costs)):
        if values is not None:
            _require_numbers(name, values, exchanges)
    return replace(found, rewards=rewards, costs=costs)


def _require_numbers(name: str, values: np.ndarray, exchanges: Sequence[Exchange]) -> None:
    if values.shape != (len(exchanges),):
        raise RunError(f"the {name} gave {values.size} numbers for {len(exchanges)} answers; {GO_ON}")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        text = shorten(exchanges[int(bad[0])].completion.text)
        raise RunError(f"the {name} of {text!r} is {values[bad[0]]}, which is no number; {GO_ON}")
