"""A step's checkpoint: weights, optimiser and controllers, whole or not at all. Safetensors and JSON only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trueline import durable
from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.constraint import Multiplier
from trueline.align.judgement import Judgement
from trueline.align.kl import next_coefficient
from trueline.align.parts import fill, gathered
from trueline.config import AlignConfig
from trueline.errors import InputError, RunError
from trueline.policy.heads import save_heads
from trueline.policy.load import save_policy

KEEP = 2


@dataclass(frozen=True)
class Position:
    """Where a run stands: `step` steps are done; kl_coef is the controller's value for the next one; multiplier: a
    constraint's, None where there is none.
    """

    step: int
    kl_coef: float
    multiplier: Multiplier | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Position:
        """From JSON; checkpoints of older versions lack the multiplier."""
        held = row.get("multiplier")
        multiplier = Multiplier(float(held["value"]), tuple(held["costs"])) if held else None
        return cls(row["step"], row["kl_coef"], multiplier)

    def after(self, kl: float, judgement: Judgement, config: AlignConfig) -> Position:
        """The position after a step, the controllers moved by its mean KL (nats) and by the costs of its answers."""
        kl_coef = next_coefficient(self.kl_coef, kl, len(judgement.rewards), config.kl)
        multiplier = self.multiplier
        if multiplier is not None and judgement.costs is not None:
            multiplier = multiplier.after(judgement.costs.tolist(), config.constraint)
        return Position(self.step + 1, kl_coef, multiplier)


def save(folder: Path, position: Position, actor: Actor, optimiser: torch.optim.Optimizer) -> Path:
    """Write folder/step-NNNNNN at once and keep the last two; RunError when the disk does not take it.

    Weights that lie in parts are whole in it, and so do not bind it to a number of processes.
    """

    def write(pending: Path) -> None:
        save_file(gathered(actor.named_weights()), pending / "weights.safetensors")
        save_file(gathered(_moments(actor, optimiser)), pending / "optimiser.safetensors")
        durable.write_json(pending / "position.json", asdict(position))

    try:
        target = durable.write_folder(folder / f"step-{position.step:06d}", write)
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{folder}: step {position.step} cannot be saved ({error}); the step before is kept, "
            "free some space and go on with `trueline resume`"
        ) from error
    for old in saved(folder)[:-KEEP]:
        shutil.rmtree(old)
    return target


def accompany_save(actor: Actor, optimiser: torch.optim.Optimizer) -> None:
    """What a process that has parts of the weights does while the one that leads saves."""
    gathered(actor.named_weights(), keep=False)
    gathered(_moments(actor, optimiser), keep=False)


def saved(folder: Path) -> list[Path]:
    """The whole checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def restore(folder: Path, actor: Actor, optimiser: torch.optim.Optimizer) -> Position | None:
    """Load the newest checkpoint into actor and optimiser; None when there is none."""
    if not folder.exists():
        return None
    durable.remove_pending(folder)
    checkpoints = saved(folder)
    if not checkpoints:
        return None
    newest = checkpoints[-1]
    try:
        position = Position.of(durable.read_json(newest / "position.json"))
        with safe_open(newest / "weights.safetensors", "pt") as weights:
            for name, parameter in actor.named_weights():
                fill(parameter, weights.get_tensor(name))
        with safe_open(newest / "optimiser.safetensors", "pt") as moments:
            _restore_moments(actor, optimiser, moments)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{newest}: not a whole checkpoint ({error}); delete it to go on from the one before"
        ) from error
    return position


def _restore_moments(actor: Actor, optimiser: torch.optim.Optimizer, moments: Any) -> None:
    """moments: an open file; a weight that was never updated has none in it."""
    there = set(moments.keys())
    for name, parameter in actor.named_parameters():
        if f"{name}/step" not in there:
            continue
        state = {"step": moments.get_tensor(f"{name}/step").clone()}
        for key in ("exp_avg", "exp_avg_sq"):
            state[key] = torch.zeros_like(parameter.detach())
            fill(state[key], moments.get_tensor(f"{name}/{key}"))
        optimiser.state[parameter] = state


def save_trained(actor: Actor, config: AlignConfig, folder: Path, *, going_on: bool = False) -> None:
    """The actor as an ordinary policy, into an existing folder; with going_on it can be trained further."""
    policy = actor.policy
    if config.lora_rank:
        from trueline.policy.lora import ADAPTER, merge_lora, save_adapter

        save_adapter(policy, folder / ADAPTER)
        # Merging takes the matrices out of the model.
        policy = merge_lora(replace(policy, model=deepcopy(policy.model)) if going_on else policy)
    save_policy(policy, folder)
    decoding = ALGORITHMS[config.algorithm].decoding
    if decoding is not None:
        save_heads(dict(actor.targets.named_parameters()), decoding(config), folder)


def _moments(actor: Actor, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in actor.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            yield f"{name}/{key}", value
