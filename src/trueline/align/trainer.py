"""A run of reinforcement learning: a folder and a journal. Starting and resuming are the same call.

run.json        what is trained, on what, from what: enough to go on anywhere
prompts.json    the training prompts; data.json: the labelled answers of an algorithm that samples none
metrics.jsonl   a line a step
checkpoints/    the last two steps, each whole
checks.jsonl    what a held-out judge said now and then; best/: the policy that it liked most
stopped.json    there where policy/ is that one, and not the last step's
policy/         the finished model; there when the run is done
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from trueline import durable
from trueline.align import checkpoint
from trueline.align.actor import Actor
from trueline.align.alarms import alarms
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Request
from trueline.align.checks import Check, Checks, HeldOut, check, is_due, past_peak, ship_best, to_ship, verdict
from trueline.align.constraint import Multiplier, priced, require_samples
from trueline.align.crew import Crew
from trueline.align.crew import crew as forks
from trueline.align.experience import measure, step_items
from trueline.align.journal import Journal, Row
from trueline.align.judgement import Judge, Judgement
from trueline.align.offline import Unit, given, watched
from trueline.align.rollout import Rollout
from trueline.align.schedule import learning_rate
from trueline.align.staleness import corrected, require_able
from trueline.align.update import update
from trueline.align.watch import watch
from trueline.config import AlignConfig, Config
from trueline.errors import InputError
from trueline.policy.chat import encode_prompt
from trueline.policy.load import Policy, load_policy, require_room
from trueline.policy.recompute import recompute_activations
from trueline.records import Prompt


@dataclass(frozen=True)
class AlignTask:
    """policy: the folder (or name) that training starts from; reference: what the KL is measured to; data: the labelled
    answers, or pairs, of an algorithm that learns from given ones; held_out: who checks the policy, on which prompts.
    """

    policy: str
    reference: str
    prompts: list[Prompt]
    judge: Judge
    config: Config
    seed: int
    data: Sequence[Unit] = ()
    held_out: HeldOut | None = None


Load = Callable[..., Policy]
"""Like `load_policy`."""
Hire = Callable[[Actor, Policy], AbstractContextManager[Crew]]
"""Who does the work, for as long as the context lasts."""


def align(
    task: AlignTask,
    folder: Path,
    on_step: Callable[[Row], None] = lambda row: None,
    hire: Hire | None = None,
    made: Callable[[AlignTask], tuple[Policy, Policy]] | None = None,
) -> Path:
    """Train until config.align.steps are done or the held-out judge's peak is past, going on from the newest
    checkpoint; returns the policy's folder.

    Bit-identical however often it was interrupted: every random choice is keyed by (seed, step). hire: the crew;
    align.workers processes of this machine where not given. Of several processes that do the same run, each calls this,
    and the one that leads writes. made: instead of `policies`.
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
    require_samples(settings)
    require_able(settings)
    policy, reference = (made or policies)(task)
    limit = task.config.policy.max_prompt_tokens
    asked = [*task.prompts, *(task.held_out[1] if task.held_out else ())]
    longest = max(len(encode_prompt(policy, p, limit)) for p in asked)
    require_room(policy, longest, task.config.policy.max_new_tokens)
    actor = Actor.new(policy, algorithm.heads, algorithm.targets)
    optimiser = actor.optimiser(settings.learning_rate)
    position = checkpoint.restore(folder / "checkpoints", actor, optimiser)
    position = position or checkpoint.Position(0, settings.kl.coefficient, Multiplier.first(settings.constraint))
    # The workers come first: a fork must not copy the journal's thread.
    with hire(actor, reference) if hire else forks(actor, reference, settings.workers) as crew:
        checks = Checks.open(folder, position.step, leads=crew.leads)
        with Journal.open(folder, position.step) if crew.leads else nullcontext() as journal:
            while position.step < settings.steps and not past_peak(checks.done, settings.patience):
                row, position = _step(task, crew, optimiser, position)
                new: Check | None = None
                checked: Actor | None = actor
                if task.held_out is not None and is_due(position.step, settings):
                    key = ("check", task.seed)
                    new, metrics = check(crew, task.held_out, task.judge, task.config, position.step, key)
                    row |= metrics
                    if checks.is_best(new):
                        checked = crew.whole()
                if journal is None:
                    if new is not None:
                        checks.done.append(new)
                    checkpoint.accompany_save(actor, optimiser)
                    continue
                row["warnings"] = alarms([*journal.rows, row], settings.constraint)
                if new is not None:
                    checks.add(new, partial(_save_best, checked, settings))
                    row["warnings"] += verdict(checks.done, settings)
                journal.add(row)
                checkpoint.save(folder / "checkpoints", position, actor, optimiser)
                on_step(row)
        best = to_ship(checks.done, settings.patience)
        whole = None if best is not None else crew.whole()
        if not crew.leads:
            return target
    if best is not None:
        return ship_best(folder, best, checks.done[-1])
    assert whole is not None, "the one that leads has it"
    return durable.write_folder(target, lambda pending: checkpoint.save_trained(whole, settings, pending))


def _save_best(actor: Actor | None, settings: AlignConfig, folder: Path) -> None:
    assert actor is not None, "the one that leads has it"
    checkpoint.save_trained(actor, settings, folder, going_on=True)


def policies(
    task: AlignTask, load: Load = load_policy, place: Callable[[Policy], Policy] = lambda policy: policy
) -> tuple[Policy, Policy]:
    """What is trained and its reference; with LoRA they share their weights where they start from the same ones.
    place: what is done with a model, one after the other, once it is whole.
    """
    policy = place(trainable(task, load))
    return policy, untrained(task, policy, lambda name, **options: place(load(name, **options)))


def trainable(task: AlignTask, load: Load = load_policy) -> Policy:
    """What is trained, as it starts."""
    settings = task.config.align
    policy = load(task.policy, trust_remote_code=task.config.policy.trust_remote_code)
    if settings.recompute:
        recompute_activations(policy.model)
    if settings.lora_rank:
        from trueline.policy.lora import add_lora

        policy = add_lora(policy, settings.lora_rank)
    return policy


def untrained(task: AlignTask, policy: Policy, load: Load = load_policy) -> Policy:
    """The reference of what `trainable` gave."""
    if task.config.align.lora_rank and task.policy == task.reference:
        from trueline.policy.lora import without_lora

        return without_lora(policy)
    return load(task.reference, trust_remote_code=task.config.policy.trust_remote_code)


def _step(
    task: AlignTask, crew: Crew, optimiser: torch.optim.Optimizer, position: checkpoint.Position
) -> tuple[Row, checkpoint.Position]:
    """One rollout and update; returns the step's metrics and where the run stands then."""
    config, settings, step = task.config, task.config.align, position.step
    algorithm = ALGORITHMS[settings.algorithm]
    started = time.monotonic()
    rollout, judgement = (_sampled if algorithm.on_policy else _given)(task, crew, position)
    sampled = time.monotonic()
    rollout, staleness = corrected(algorithm.prepare(rollout, settings), settings.ray.most_weight)
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
    metrics = {
        **watch(rollout, on_policy=algorithm.on_policy),
        **judgement.metrics,
        **measured,
        **staleness,
        "kl_coef": position.kl_coef,
    }
    row: Row = {
        "step": step + 1,
        **metrics,
        "learning_rate": learning_rate(step, settings),
        "seconds_rollout": sampled - started,
        "seconds_update": time.monotonic() - sampled,
    }
    if not algorithm.on_policy:
        return row, replace(position, step=step + 1)
    return row, position.after(metrics["kl"], judgement, settings)


def _sampled(task: AlignTask, crew: Crew, position: checkpoint.Position) -> tuple[Rollout, Judgement]:
    config, settings, step = task.config, task.config.align, position.step
    upcoming = request_of(task, step + 1) if step + 1 < settings.steps else None
    answers, judgement = crew.answers(request_of(task, step), task.judge, upcoming)
    if position.multiplier is not None:
        judgement = priced(judgement, position.multiplier)
    rollout = measure(crew, answers, judgement.rewards, settings, config.policy.temperature, position.kl_coef)
    return rollout, judgement


def request_of(task: AlignTask, step: int) -> Request:
    """What a step asks of the policy."""
    settings = task.config.align
    prompts = step_items(task.prompts, step, settings.prompts_per_step, ("prompts", task.seed))
    return Request(prompts, task.config.policy, settings.samples_per_prompt, ("rollout", task.seed, step))


def _given(task: AlignTask, crew: Crew, position: checkpoint.Position) -> tuple[Rollout, Judgement]:
    """As many given answers as others would sample; every `watch_every` steps some are sampled, to be watched."""
    config, settings, step = task.config, task.config.align, position.step
    n = max(1, settings.prompts_per_step * settings.samples_per_prompt // len(task.data[0]))
    units = step_items(task.data, step, n, ("data", task.seed))
    rollout, judgement = given(crew, units, settings, config.policy, position.kl_coef)
    if step % settings.watch_every == 0 or step + 1 == settings.steps:
        decoding = ALGORITHMS[settings.algorithm].decoding
        beta = decoding(settings) if decoding else None
        prompts = step_items(task.prompts, step, settings.prompts_per_step, ("prompts", task.seed))
        seen = watched(crew, prompts, task.judge, config.policy, beta, ("watch", task.seed, step))
        judgement = replace(judgement, metrics={**judgement.metrics, **seen})
    return rollout, judgement
