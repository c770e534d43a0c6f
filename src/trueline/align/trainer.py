"""A run of reinforcement learning: a folder and a journal. Starting and resuming are the same call.

run.json        what is trained, on what, from what: enough to go on anywhere
prompts.json    the training prompts; data.json: the labelled answers of an algorithm that samples none
metrics.jsonl   a line a step
checkpoints/    the last two steps, each whole
policy/         the finished model; there when the run is done
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from trueline import durable
from trueline.align import checkpoint
from trueline.align.actor import Actor
from trueline.align.alarms import alarms
from trueline.align.algorithms import ALGORITHMS, Algorithm
from trueline.align.crew import Crew
from trueline.align.crew import crew as start_crew
from trueline.align.experience import collect
from trueline.align.journal import Journal, Row
from trueline.align.judgement import Judge
from trueline.align.kl import next_coefficient
from trueline.align.offline import Unit, given, watched
from trueline.align.rollout import Rollout
from trueline.align.schedule import learning_rate
from trueline.align.update import update
from trueline.align.watch import watch
from trueline.config import AlignConfig, Config
from trueline.errors import InputError
from trueline.policy.chat import encode_prompt
from trueline.policy.heads import save_heads
from trueline.policy.load import Policy, load_policy, require_room, save_policy
from trueline.policy.randomness import generator
from trueline.policy.recompute import recompute_activations
from trueline.policy.sampler import Key
from trueline.records import Prompt

Item = TypeVar("Item")


@dataclass(frozen=True)
class AlignTask:
    """policy: the folder (or name) that training starts from; reference: what the KL is measured to; data: the labelled
    answers, or pairs, of an algorithm that learns from given ones.
    """

    policy: str
    reference: str
    prompts: list[Prompt]
    judge: Judge
    config: Config
    seed: int
    data: Sequence[Unit] = ()


def align(task: AlignTask, folder: Path, on_step: Callable[[Row], None] = lambda row: None) -> Path:
    """Train until config.align.steps are done, going on from the newest checkpoint; returns the policy's folder.

    Bit-identical however often it was interrupted: every random choice is keyed by (seed, step).
    """
    target = folder / "policy"
    if target.exists():
        return target
    settings = task.config.align
    algorithm = ALGORITHMS[settings.algorithm]
    if not algorithm.on_policy and not task.data:
        raise InputError(
            f"{folder}: {algorithm.name} learns from labelled answers and there are none; collect or import some, or "
            "set align.algorithm to one that samples its own, such as rloo"
        )
    policy, reference = _policies(task)
    limit = task.config.policy.max_prompt_tokens
    longest = max(len(encode_prompt(policy, p, limit)) for p in task.prompts)
    require_room(policy, longest, task.config.policy.max_new_tokens)
    actor = Actor.new(policy, algorithm.heads, algorithm.targets)
    optimiser = actor.optimiser(settings.learning_rate)
    position = checkpoint.restore(folder / "checkpoints", actor, optimiser)
    position = position or checkpoint.Position(0, settings.kl.coefficient)
    # The workers come first: a fork must not copy the journal's thread.
    with start_crew(actor, reference, settings.workers) as crew, Journal.open(folder, position.step) as journal:
        while position.step < settings.steps:
            row, kl_coef = _step(task, crew, optimiser, position)
            row["warnings"] = alarms([*journal.rows, row])
            journal.add(row)
            position = checkpoint.Position(position.step + 1, kl_coef)
            checkpoint.save(folder / "checkpoints", position, actor, optimiser)
            on_step(row)
    return durable.write_folder(target, lambda pending: _save(actor, algorithm, settings, pending))


def _policies(task: AlignTask) -> tuple[Policy, Policy]:
    """What is trained and its reference; with LoRA they share their weights where they start from the same ones."""
    trust, rank = task.config.policy.trust_remote_code, task.config.align.lora_rank
    policy = load_policy(task.policy, trust_remote_code=trust)
    if task.config.align.recompute:
        recompute_activations(policy.model)
    if rank:
        from trueline.policy.lora import add_lora, without_lora

        policy = add_lora(policy, rank)
        if task.policy == task.reference:
            return policy, without_lora(policy)
    return policy, load_policy(task.reference, trust_remote_code=trust)


def _save(actor: Actor, algorithm: Algorithm, settings: AlignConfig, folder: Path) -> None:
    policy = actor.policy
    if settings.lora_rank:
        from trueline.policy.lora import merge_lora

        policy = merge_lora(policy)
    save_policy(policy, folder)
    if algorithm.decoding is not None:
        save_heads(dict(actor.targets.named_parameters()), algorithm.decoding(settings), folder)


def _step(
    task: AlignTask, crew: Crew, optimiser: torch.optim.Optimizer, position: checkpoint.Position
) -> tuple[Row, float]:
    """One rollout and update; returns the step's metrics and the next KL coefficient."""
    config, settings, step = task.config, task.config.align, position.step
    algorithm = ALGORITHMS[settings.algorithm]
    started = time.monotonic()
    rollout, seen = (_sampled if algorithm.on_policy else _given)(task, crew, position)
    sampled = time.monotonic()
    rollout = algorithm.prepare(rollout, settings)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, settings)
    measured = update(
        crew,
        optimiser,
        algorithm,
        rollout,
        settings,
        config.policy.temperature,
        ("update", task.seed, step),
        critic_only=step < algorithm.warmup(settings),
    )
    rate, every = algorithm.follow(settings)
    if (step + 1) % every == 0:
        crew.actor.follow(rate)
    metrics = {**watch(rollout, on_policy=algorithm.on_policy), **seen, **measured, "kl_coef": position.kl_coef}
    row: Row = {
        "step": step + 1,
        **metrics,
        "learning_rate": learning_rate(step, settings),
        "seconds_rollout": sampled - started,
        "seconds_update": time.monotonic() - sampled,
    }
    if not algorithm.on_policy:
        return row, position.kl_coef
    return row, next_coefficient(position.kl_coef, metrics["kl"], rollout.answers, settings.kl)


def _sampled(task: AlignTask, crew: Crew, position: checkpoint.Position) -> tuple[Rollout, dict[str, float]]:
    settings, step = task.config.align, position.step
    prompts = step_items(task.prompts, step, settings.prompts_per_step, ("prompts", task.seed))
    key = ("rollout", task.seed, step)
    rollout, judgement = collect(crew, prompts, task.judge, settings, task.config.policy, position.kl_coef, key)
    return rollout, judgement.metrics


def _given(task: AlignTask, crew: Crew, position: checkpoint.Position) -> tuple[Rollout, dict[str, float]]:
    """As many given answers as others would sample; every `watch_every` steps some are sampled, to be watched."""
    config, settings, step = task.config, task.config.align, position.step
    n = max(1, settings.prompts_per_step * settings.samples_per_prompt // len(task.data[0]))
    units = step_items(task.data, step, n, ("data", task.seed))
    rollout, judgement = given(crew, units, settings, config.policy, position.kl_coef)
    seen = judgement.metrics
    if step % settings.watch_every == 0 or step + 1 == settings.steps:
        decoding = ALGORITHMS[settings.algorithm].decoding
        policy = crew.actor.drawing(decoding(settings) if decoding else None)
        prompts = step_items(task.prompts, step, settings.prompts_per_step, ("prompts", task.seed))
        key = ("watch", task.seed, step)
        seen = {**seen, **watched(policy, crew.reference, prompts, task.judge, config.policy, key)}
    return rollout, seen


def step_items(items: Sequence[Item], step: int, n: int, key: Key) -> list[Item]:
    """The n items of a step: each pass over all has its own keyed order, and a step may span two passes."""

    def endless() -> Iterator[Item]:
        epoch = step * n // len(items)
        skip = step * n % len(items)
        while True:
            order = generator(*key, epoch).permutation(len(items))
            yield from (items[i] for i in order[skip:])
            epoch, skip = epoch + 1, 0

    source = endless()
    return [next(source) for _ in range(n)]
