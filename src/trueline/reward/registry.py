"""Reward models by kind: making one from its settings, and loading one that was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.config import RewardConfig
from trueline.errors import InputError
from trueline.reward.base import RewardModel
from trueline.reward.ensemble import Ensemble
from trueline.reward.linear import LinearReward
from trueline.reward.nothing import NoReward


def _transformer() -> Any:
    from trueline.reward.transformer import TransformerReward

    return TransformerReward


# A function each, so that torch is imported only for the kind that needs it.
REWARDS: dict[str, Callable[[], Any]] = {
    "linear": lambda: LinearReward,
    "svm": lambda: LinearReward,
    "transformer": _transformer,
    "none": lambda: NoReward,
}


def new_reward(config: RewardConfig, dimensions: tuple[str, ...]) -> RewardModel:
    """An unfitted model of the kind and number of members that the settings ask for."""
    kind = REWARDS[config.kind]()
    if config.members == 1:
        return kind(config, dimensions)
    return Ensemble([kind(config, dimensions) for _ in range(config.members)], config.combine)


def load_reward(folder: Path) -> RewardModel:
    """Read a saved reward model of any kind."""
    try:
        kind = durable.read_json(folder / "model.json")["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: not a reward model (no good model.json); fit it with `trueline reward`") from error
    if kind == "ensemble":
        return Ensemble.load(folder, load_reward)
    if not isinstance(kind, str) or kind not in REWARDS:
        known = ", ".join([*REWARDS, "ensemble"])
        raise InputError(f"{folder}: a reward model of unknown kind {kind!r}; known: {known}")
    return REWARDS[kind]().load(folder)
