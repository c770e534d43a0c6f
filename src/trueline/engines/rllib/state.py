"""What a run needs to go on: the learner's weights and its optimiser, as safetensors and JSON.

RLlib's own checkpoints are pickles, and no pickle is ever loaded here. A replay buffer and the runners' half-written
answers are left out, so that a run which was interrupted goes on, but not bit for bit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray.rllib.core import DEFAULT_MODULE_ID
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trueline import durable
from trueline.errors import InputError, RunError

WEIGHTS, MOMENTS, POSITION = "weights.safetensors", "optimiser.safetensors", "position.json"
PARTS = ("learner/rl_module", "learner/optimizer")


@dataclass(frozen=True)
class Position:
    """Iterations that are done, and the tokens that were sampled in them."""

    step: int = 0
    tokens: int = 0


def save(algorithm: Any, position: Position, folder: Path) -> None:
    """Replace the folder at once; RunError when the disk does not take it."""
    learner = algorithm.learner_group.get_state(components=list(PARTS))["learner"]

    def fill(pending: Path) -> None:
        save_file(_arrays(learner["rl_module"][DEFAULT_MODULE_ID]), pending / WEIGHTS)
        save_file(_arrays(_moments(learner["optimizer"])), pending / MOMENTS)
        durable.write_json(pending / POSITION, asdict(position))

    try:
        durable.write_folder(folder, fill)
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{folder}: iteration {position.step} cannot be saved ({error}); free some space and go on with "
            "`trueline resume`"
        ) from error


def read_position(folder: Path) -> Position:
    """Where a run stands; the start where nothing is saved."""
    if folder.parent.exists():
        durable.remove_pending(folder.parent)
    if not folder.exists():
        return Position()
    try:
        return Position(**durable.read_json(folder / POSITION))
    except (OSError, ValueError, TypeError) as error:
        raise _broken(folder, error) from error


def restore(algorithm: Any, folder: Path) -> None:
    """Give a new algorithm the saved weights and moments, and its runners the weights."""
    group = algorithm.learner_group
    optimiser = group.get_state(components=["learner/optimizer"])["learner"]["optimizer"]
    try:
        weights, moments = load_file(folder / WEIGHTS), load_file(folder / MOMENTS)
        for key, value in moments.items():
            name, row, moment = key.rsplit("/", 2)
            optimiser[name]["state"]["state"].setdefault(int(row), {})[moment] = value
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _broken(folder, error) from error
    group.set_state({"learner": {"rl_module": {DEFAULT_MODULE_ID: weights}, "optimizer": optimiser}})
    algorithm.env_runner_group.sync_weights(from_worker_or_learner_group=group, inference_only=True)


def _moments(optimisers: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name}/{row}/{moment}": value
        for name, one in optimisers.items()
        for row, moments in one["state"]["state"].items()
        for moment, value in moments.items()
    }


def _arrays(tensors: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value).copy(order="C") for name, value in tensors.items()}


def _broken(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder}: not a whole state of a run ({error}); delete it to start the run again")
