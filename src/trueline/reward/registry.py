"""Reward models by kind: a dict, easy to extend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueline import durable
from trueline.errors import InputError
from trueline.reward.base import RewardModel
from trueline.reward.linear import LinearReward

REWARDS: dict[str, Any] = {"linear": LinearReward}


def load_reward(folder: Path) -> RewardModel:
    """Read a saved reward model of any kind."""
    try:
        kind = durable.read_json(folder / "model.json")["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: not a reward model (no good model.json); fit it with `trueline reward`") from error
    if not isinstance(kind, str) or kind not in REWARDS:
        raise InputError(f"{folder}: a reward model of unknown kind {kind!r}; known: {', '.join(REWARDS)}")
    model: RewardModel = REWARDS[kind].load(folder)
    return model
