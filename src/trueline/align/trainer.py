"""A run of reinforcement learning: a folder and a journal. Starting and resuming are the same call.

run.json        what is trained, on what, from what: enough to go on anywhere
prompts.jsonl   the training prompts
metrics.jsonl   a line a step
checkpoints/    the last two steps, each whole
policy/         the finished model; there when the run is done
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from trueline import durable
from trueline.align import checkpoint
from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.experience import Judge, collect
from trueline.align.kl import next_coefficient
from trueline.align.schedule import learning_rate
from trueline.align.update import update
from trueline.align.watch import warnings_of, watch
from trueline.config import Config
from trueline.policy.load import load_policy, save_policy
from trueline.policy.randomness import generator
from trueline.records import Prompt

Row = dict[str, Any]


@dataclass(frozen=True)
class AlignTask:
    """policy: the folder (or name) that training starts from; reference: what the KL is measured to."""

    policy: str
    reference: str
    prompts: list[Prompt]
    judge: Judge
    config: Config
    seed: int


def align(task: AlignTask, folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train until config.align.steps are done, going on from the newest checkpoint; returns the policy's folder.

    Bit-identical however often it was interrupted: every random choice is keyed by (seed, step).
    """
    target = folder / "policy"
    if target.exists():
        return target
    settings, trust = task.config.align, task.config.policy.trust_remote_code
    torch.set_num_threads(settings.threads)
    algorithm = ALGORITHMS[settings.algorithm]
    actor = Actor.new(load_policy(task.policy, trust_remote_code=trust), algorithm.heads)
    reference = load_policy(task.reference, trust_remote_code=trust)
    optimiser = actor.optimiser(settings.learning_rate)
    position = checkpoint.restore(folder / "checkpoints", actor, optimiser)
    position = position or checkpoint.Position(0, settings.kl.coefficient)
    journal = Journal.open(folder, position.step)
    with journal:
        while position.step < settings.steps:
            row, kl_coef = _step(task, actor, reference, optimiser, position)
            journal.add(row)
            position = checkpoint.Position(position.step + 1, kl_coef)
            checkpoint.save(folder / "checkpoints", position, actor, optimiser)
            on_step(row)
    return durable.write_folder(target, lambda pending: save_policy(actor.policy, pending))


def _step(
    task: AlignTask, actor: Actor, reference: Any, optimiser: torch.optim.Optimizer, position: checkpoint.Position
) -> tuple[Row, float]:
    """One rollout and update; returns the step's metrics and the next KL coefficient."""
    config, settings, step = task.config, task.config.align, position.step
    started = time.monotonic()
    rollout, judgement = collect(
        actor,
        reference,
        step_prompts(task.prompts, step, settings.prompts_per_step, task.seed),
        task.judge,
        settings,
        config.policy,
        position.kl_coef,
        ("rollout", task.seed, step),
    )
    sampled = time.monotonic()
    algorithm = ALGORITHMS[settings.algorithm]
    rollout = algorithm.prepare(rollout, settings)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, settings)
    critic_only = "value" in algorithm.heads and step < settings.ppo.critic_warmup
    measured = update(
        actor,
        optimiser,
        algorithm,
        rollout,
        settings,
        config.policy.temperature,
        ("update", task.seed, step),
        critic_only=critic_only,
    )
    metrics = {**judgement.metrics, **watch(rollout), **measured, "kl_coef": position.kl_coef}
    row: Row = {
        "step": step + 1,
        **metrics,
        "learning_rate": learning_rate(step, settings),
        "seconds_rollout": sampled - started,
        "seconds_update": time.monotonic() - sampled,
    }
    row["warnings"] = warnings_of(row)
    return row, next_coefficient(position.kl_coef, metrics["kl"], rollout.answers, settings.kl)


def step_prompts(prompts: list[Prompt], step: int, n: int, seed: int) -> list[Prompt]:
    """The prompts of a step: each pass over the list has its own keyed order, and a step may span two passes."""

    def endless() -> Iterator[Prompt]:
        epoch = step * n // len(prompts)
        skip = step * n % len(prompts)
        while True:
            order = generator("prompts", seed, epoch).permutation(len(prompts))
            yield from (prompts[i] for i in order[skip:])
            epoch, skip = epoch + 1, 0

    source = endless()
    return [next(source) for _ in range(n)]


@dataclass
class Journal:
    """metrics.jsonl and TensorBoard; rows behind the restored step are dropped, since they will come again."""

    path: Path
    board: SummaryWriter

    @classmethod
    def open(cls, folder: Path, step: int) -> Journal:
        path = folder / "metrics.jsonl"
        kept = [row for row in read_metrics(folder) if row["step"] <= step]
        durable.write_file(path, "".join(json.dumps(row) + "\n" for row in kept).encode())
        return cls(path, SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.board.close()

    def add(self, row: Row) -> None:
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        for name, value in row.items():
            if isinstance(value, int | float):
                self.board.add_scalar(name, value, row["step"])


def read_metrics(folder: Path) -> list[Row]:
    """The rows of metrics.jsonl; a last line cut by a crash is left out."""
    path = folder / "metrics.jsonl"
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
