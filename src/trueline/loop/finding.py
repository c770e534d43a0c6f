"""From what a round left on disk to the facts that gates and strategy go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trueline.align.checks import shipped_step
from trueline.config import Config
from trueline.evaluate.record import Verdicts
from trueline.evaluate.statistics import bootstrap_mean, paired_difference, win_rate
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.loop.facts import Facts
from trueline.reward.base import FitReport
from trueline.reward.checking import ENOUGH

STEERED = (
    "align.algorithm",
    "align.constraint.dimension",
    "align.kl.coefficient",
    "align.learning_rate",
    "collect.prompts_later",
    "policy.temperature",
)
"""What the rules look at or change; beside these the weights of the objective."""
EXPLAINS = 0.02


def settings_of(config: Config) -> dict[str, Any]:
    """By dotted name, those that the strategy goes by."""
    found: dict[str, Any] = {}
    for name in STEERED:
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        found[name] = value
    return found | {f"objective.weights.{d}": w for d, w in config.objective.weights.items()}


def with_settings(config: Config, changed: Mapping[str, Any]) -> Config:
    """The configuration with some settings changed, by dotted name."""
    data = config.model_dump()
    for name, value in changed.items():
        *path, last = name.split(".")
        place = data
        for part in path:
            place = place[part]
        place[last] = value
    return Config.model_validate(data)


def facts_of(
    number: int,
    config: Config,
    before: Verdicts,
    after: Verdicts,
    kl: np.ndarray,
    rows: Sequence[Mapping[str, Any]],
    run: Path,
    snapshot: FeedbackSnapshot,
    reward: FitReport,
) -> Facts:
    """before, after: the last promoted policy and the new one, on the same n prompts; kl: (n,) to the base policy; rows
    and run: the training run's steps and folder; snapshot: all labels.
    """
    resamples, seed = config.evaluate.bootstrap, config.project.seed
    old, new = before.scores.values, after.scores.values
    watched = [row for row in rows if "reward" in row]
    measured = [f.accuracy for f in reward.dimensions.values() if f.accuracy is not None and f.n_pairs >= ENOUGH]
    return Facts(
        number=number,
        settings=settings_of(config),
        win_rate=win_rate(old.sum(1), new.sum(1), resamples, seed),
        changes={d: paired_difference(old[:, i], new[:, i]) for i, d in enumerate(after.scores.dimensions)},
        kl=float(kl.mean()),
        labels=snapshot.labels,
        unsafe=None if after.safe is None else bootstrap_mean(~after.safe, resamples, seed),
        accuracy=min(measured, default=None),
        rise=_rise(watched, 0),
        late_rise=_rise(watched, -2),
        peak=shipped_step(run),
        entropy=_entropy(watched),
        alike=_alike(watched),
        idle_critic=_idle(rows),
    )


def _rise(rows: Sequence[Mapping[str, Any]], since: int) -> float:
    """The learned reward of the last fifth of the steps less that of another fifth: 0 the first, -2 the one before."""
    if len(rows) < 5:
        return 0.0
    fifths = [np.mean([row["reward"] for row in part]) for part in np.array_split(np.array(rows, dtype=object), 5)]
    return float(fifths[-1] - fifths[since])


def _entropy(rows: Sequence[Mapping[str, Any]]) -> float:
    found = [row["entropy"] for row in rows if "entropy" in row]
    return float(np.mean(found[-5:]) / max(np.mean(found[:5]), 1e-9)) if len(found) > 5 else 1.0


def _alike(rows: Sequence[Mapping[str, Any]]) -> float:
    found = [row["alike_prompts"] for row in rows if "alike_prompts" in row]
    return float(np.mean(found[-5:])) if found else 0.0


def _idle(rows: Sequence[Mapping[str, Any]]) -> bool:
    found = [row["explained_variance"] for row in rows if "explained_variance" in row]
    return len(found) >= 20 and float(np.mean(found[-10:])) < EXPLAINS
