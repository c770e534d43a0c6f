"""A constraint: the share of bad answers is held under a limit by a price on them, which rises while there are more.

Dai et al. 2023, "Safe RLHF: safe reinforcement learning from human feedback", as in align-anything:
    max over pi, min over lambda > 0 of  E[R] - lambda (E[C] - limit)
    A = (A_R - lambda A_C) / (1 + lambda),   log lambda <- log lambda + rate * (mean C of the last answers - limit)
C is the probability that people call an answer bad, so that its mean estimates their share. Advantages are linear in
rewards and values, GAE too: those of the one reward (R - lambda C) / (1 + lambda) with its critic are A, whatever the
algorithm, and the critics of R and C need not be kept apart. The KL is weighed as without the constraint.

Letters: n answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trueline.align.algorithms import ALGORITHMS
from trueline.align.judgement import Judgement
from trueline.config import AlignConfig, ConstraintConfig
from trueline.errors import InputError, RunError

LEAST = 1e-8


@dataclass(frozen=True)
class Multiplier:
    """value: lambda, what a bad answer costs in reward; costs: those of the last answers, the newest last."""

    value: float
    costs: tuple[float, ...] = ()

    @classmethod
    def first(cls, config: ConstraintConfig) -> Multiplier | None:
        """None where nothing is constrained."""
        return cls(min(config.multiplier, config.most)) if config.dimension else None

    def after(self, costs: Sequence[float], config: ConstraintConfig) -> Multiplier:
        """The multiplier after a step with such costs, (n,); it rests until the window is full, and stays in
        (0, most]."""
        kept = (*self.costs, *costs)[-config.window :]
        if len(kept) < config.window:
            return Multiplier(self.value, kept)
        moved = math.log(self.value) + config.rate * (math.fsum(kept) / len(kept) - config.limit)
        top = moved >= math.log(config.most)
        return Multiplier(config.most if top else max(LEAST, math.exp(moved)), kept)


def priced(found: Judgement, multiplier: Multiplier) -> Judgement:
    """Rewards with the price taken out; the metrics say what the price is and the estimated bad share."""
    if found.costs is None:
        raise RunError("align.constraint.dimension is set, but the judge gives no costs; start the run again")
    price = multiplier.value
    rewards = (found.rewards - price * found.costs) / (1 + price)
    metrics = {**found.metrics, "multiplier": price, "bad_share": float(found.costs.mean())}
    return replace(found, rewards=rewards, metrics=metrics)


def require_samples(config: AlignConfig) -> None:
    """InputError where a constraint is set for an algorithm that does not see its own answers."""
    if config.constraint.dimension and not ALGORITHMS[config.algorithm].on_policy:
        able = ", ".join(a.name for a in ALGORITHMS.values() if a.on_policy)
        raise InputError(
            f"align.constraint: {config.algorithm} samples no answers, so that their bad share cannot be held under a "
            f'limit; set align.algorithm to one of {able}, or align.constraint.dimension to ""'
        )
