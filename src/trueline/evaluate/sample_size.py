"""How many prompts it takes to tell a change from none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from trueline.evaluate.compare import Metric
from trueline.evaluate.statistics import Interval
from trueline.evaluate.wording import WIN_RATES, change_of, label, show
from trueline.feedback.quality.interval import Z

POWER = NormalDist().inv_cdf(0.8)


@dataclass(frozen=True)
class Advice:
    """prompts: so many in all; more: than there are; text: that in a sentence."""

    prompts: int
    more: int
    text: str


def prompts_needed(spread: float, change: float) -> int:
    """Prompts after which the 95% interval of a mean leaves out 0 with 80% power: ((z.975 + z.8) spread / change)².

    change: the true mean, not 0; spread: the standard deviation between prompts, of the paired difference, or of the
    wins, which is 0.5 where there are no ties.
    """
    return max(2, math.ceil(((Z + POWER) * spread / change) ** 2))


def spread_of(interval: Interval) -> float:
    """The standard deviation between prompts that a mean's interval tells of."""
    return (interval.high - interval.low) / (2 * Z) * interval.n**0.5


def advice(name: str, metric: Metric) -> Advice | None:
    """For a change that cannot be told from none yet: as many prompts as would tell it, were it as large as it looks.

    None where it is told already, or where there is no change at all.
    """
    change = change_of(name, metric)
    if change is None or change.value == 0 or not change.low <= 0 <= change.high:
        return None
    prompts = prompts_needed(spread_of(change), change.value)
    more = max(1, prompts - change.n)
    against = "50%" if name in WIN_RATES else show(name, metric.before)
    told = f"would tell {show(name, metric.after)} from {against}, four times in five"
    return Advice(prompts, more, f"{label(name)}: {_rounded(more):,} more prompts {told}")


def _rounded(n: int) -> int:
    """Up, to two digits."""
    unit = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit
