"""What happens every so many steps of a pretraining run: losses, a line of progress, a checkpoint."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from trueline import durable
from trueline.errors import RunError
from trueline.policy.corpus import IGNORED, Row, collate
from trueline.policy.load import Policy

WATCHED_ROWS = 128
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Progress:
    """Losses in nats a token; seconds since this process began to train."""

    step: int
    loss: float
    held_out_loss: float
    seconds: float


@torch.inference_mode()
def held_out_loss(policy: Policy, rows: Sequence[Row]) -> float:
    """Nats a learned token, over all tokens of the rows."""
    policy.model.eval()
    total, count = 0.0, 0
    for i in range(0, len(rows), 32):
        batch = {k: v.to(policy.device) for k, v in collate(rows[i : i + 32], policy.pad_id).items()}
        n = int((batch["labels"][:, 1:] != IGNORED).sum())
        total, count = total + float(policy.model(**batch, use_cache=False).loss) * n, count + n
    return total / max(count, 1)


class Keeper(TrainerCallback):  # type: ignore[misc]
    """Every so many steps: the losses, a line of progress, and a checkpoint that replaces the one before."""

    def __init__(
        self, policy: Policy, held_out: list[Row], run: Path, every: int, on_progress: Callable[[Progress], None]
    ) -> None:
        self.policy, self.held_out, self.run, self.every = policy, held_out[:WATCHED_ROWS], run, every
        self.on_progress, self.started = on_progress, time.monotonic()

    def newest(self) -> Path | None:
        found = sorted(self.run.glob("checkpoint-*"), key=lambda p: int(p.name.partition("-")[2]))
        return found[-1] if found else None

    def on_train_begin(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        """The Trainer has read weights and position; the optimiser and the learning rate are read here."""
        newest = self.newest()
        if newest is None:
            return
        optimiser, scheduler = objects["optimizer"], objects["lr_scheduler"]
        moments = load_file(newest / "optimiser.safetensors")
        for name, parameter in self.policy.model.named_parameters():
            optimiser.state[parameter] = {key: moments[f"{name}/{key}"].clone() for key in MOMENTS}
        scheduler.load_state_dict(durable.read_json(newest / "schedule.json"))
        for group, rate in zip(optimiser.param_groups, scheduler.get_last_lr(), strict=True):
            group["lr"] = rate

    def on_step_end(self, args: Any, state: Any, control: Any, **objects: Any) -> None:
        control.should_log = state.global_step % self.every == 0 or state.global_step == state.max_steps

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **objects: Any) -> None:
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise RunError(f"the loss at step {state.global_step} is not a number; give a lower --learning-rate")
        row = state.log_history[-1]
        row["held_out_loss"] = held_out_loss(self.policy, self.held_out)
        self._save(state, objects["optimizer"], objects["lr_scheduler"])
        seconds = time.monotonic() - self.started
        self.on_progress(Progress(state.global_step, logs["loss"], row["held_out_loss"], seconds))

    def _save(self, state: Any, optimiser: Any, scheduler: Any) -> None:
        model, before = self.policy.model, self.newest()
        moments = {
            f"{name}/{key}": optimiser.state[parameter][key].contiguous()
            for name, parameter in model.named_parameters()
            for key in MOMENTS
        }

        def fill(pending: Path) -> None:
            model.save_pretrained(pending)
            save_file(moments, pending / "optimiser.safetensors")
            durable.write_json(pending / "schedule.json", scheduler.state_dict())
            state.save_to_json(str(pending / "trainer_state.json"))

        target = durable.write_folder(self.run / f"checkpoint-{state.global_step}", fill)
        if before is not None and before != target:
            shutil.rmtree(before)
