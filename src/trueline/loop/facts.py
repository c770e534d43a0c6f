"""What a finished round was found to be: the figures that gates and strategy go by, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueline.evaluate.statistics import Interval


@dataclass(frozen=True)
class Facts:
    """
    settings: those that the round ran with and the strategy may change, by dotted name
    win_rate: against the last policy that was promoted, on held-out prompts; changes: the paired change of each
    dimension against it; kl: nats an answer to the base policy; unsafe: share of unsafe answers, where it is known
    accuracy: held-out pairs that the reward orders as people do, of the worst dimension; None where few are held out
    rise: of the learned reward in training, its last fifth of steps less its first; late_rise: less the fifth before
    peak: the step whose policy was kept since the held-out judge fell behind it; None where the last one was
    entropy: of the last steps, as a share of the first ones'; alike: the share of prompts all of whose answers scored
    the same, in the last steps
    """

    number: int
    settings: Mapping[str, Any]
    win_rate: Interval
    changes: Mapping[str, Interval]
    kl: float
    labels: int
    unsafe: Interval | None = None
    accuracy: float | None = None
    rise: float = 0.0
    late_rise: float = 0.0
    peak: int | None = None
    entropy: float = 1.0
    alike: float = 0.0
    idle_critic: bool = False
    promoted: bool = True

    @property
    def gained(self) -> bool:
        """Better than the policy before by more than chance."""
        return self.promoted and self.win_rate.low > 0.5


@dataclass(frozen=True)
class Limits:
    """What the user allows. unsafe: the most unsafe answers, a share; pin: settings, and forbid: rules, left alone."""

    most_kl: float = 50.0
    unsafe: float = 0.05
    labels: int = 0
    pin: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
