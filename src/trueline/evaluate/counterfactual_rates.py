"""How often a reward model passes counterfactual tests, and where it fails worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueline.evaluate.statistics import Interval, wilson
from trueline.records import Exchange
from trueline.reward.base import RewardModel
from trueline.reward.counterfactuals import Counterfactual, variants

WORST, MOST = 5, 400


@dataclass(frozen=True)
class Offender:
    """change: of the score, in standard deviations."""

    before: str
    after: str
    change: float


@dataclass(frozen=True)
class PassRate:
    """passed: share of the answers, with Wilson's interval; mean_change: of the score, in standard deviations."""

    test: str
    kind: str
    expect: str
    tolerance: float
    dimension: str
    passed: Interval
    mean_change: float
    worst: tuple[Offender, ...]


def pass_rates(
    model: RewardModel, tests: Sequence[Counterfactual], exchanges: Sequence[Exchange]
) -> tuple[list[PassRate], list[str]]:
    """A rate for each test and dimension, and the names of tests that no answer lends itself to.

    A change is in standard deviations of the scores of `exchanges`. At most 400 answers a test, evenly spread.
    """
    spread = model.score(exchanges).values.std(0) if exchanges else np.ones(len(model.dimensions))
    spread = np.where(spread > 1e-12, spread, 1.0)
    found, idle = [], []
    for test in tests:
        changed = variants(test, exchanges)
        if not changed:
            idle.append(test.name)
            continue
        kept = np.unique(np.linspace(0, len(changed) - 1, min(len(changed), MOST)).astype(int))
        both = [changed[i] for i in kept]
        scores = model.score([e for pair in both for e in pair]).values
        changes = (scores[1::2] - scores[0::2]) / spread
        found += [_rate(test, d, both, changes[:, i]) for i, d in enumerate(model.dimensions)]
    return found, idle


def _rate(
    test: Counterfactual, dimension: str, both: Sequence[tuple[Exchange, Exchange]], changes: np.ndarray
) -> PassRate:
    passed = np.array([test.passes(float(c)) for c in changes])
    failed = np.flatnonzero(~passed)
    worst = failed[np.argsort(-np.abs(changes[failed]), kind="stable")][:WORST]
    offenders = tuple(
        Offender(both[i][0].completion.text, both[i][1].completion.text, float(changes[i])) for i in worst
    )
    rate = wilson(int(passed.sum()), len(passed))
    mean = float(changes.mean())
    return PassRate(test.name, test.kind, test.expect, test.tolerance, dimension, rate, mean, offenders)
