"""A group of learners without Ray: forked processes under gloo, with samplers and judges in the first of them."""

from __future__ import annotations

import multiprocessing
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import distributed as dist
from torch.distributed.tensor import DTensor

from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Answers
from trueline.align.crew import Forks
from trueline.align.experience import measure
from trueline.align.judgement import judged
from trueline.align.parts import gathered
from trueline.align.trainer import align, policies, request_of, trainable, untrained
from trueline.align.update import update
from trueline.engines.ray.fleet import Sampler
from trueline.engines.ray.ranks import FleetJudge, Ranks
from trueline.engines.ray.sharding import sharded_policies, whole_actor


def in_group(place, work, *args, size=2):
    """work(*args) in each process of a group; their results, in order. An error of one of them is raised here."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(size)]
    found = [context.Process(target=_life, args=(place, r, size, pipes[r][1], work, args)) for r in range(size)]
    for process in found:
        process.start()
    for _, theirs in pipes:
        theirs.close()
    try:
        results = [ours.recv() for ours, _ in pipes]
    finally:
        for process in found:
            process.join(10)
            process.kill()
    assert not any(failed for failed, _ in results), "\n".join(str(result) for failed, result in results if failed)
    return [result for _, result in results]


def _life(place, rank, size, pipe, work, args):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=size)
    try:
        pipe.send((False, work(*args)))
    except BaseException:
        pipe.send((True, traceback.format_exc()))
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Here:
    """What `trueline.engines.ray.fleet.Fleet` does, in this process: whole models that are given weights."""

    sampler: Sampler
    judges: tuple

    @classmethod
    def of(cls, task):
        sampler, algorithm = Sampler(), ALGORITHMS[task.config.align.algorithm]
        sampler.actor = Actor.new(trainable(task), algorithm.heads, algorithm.targets)
        sampler.reference = untrained(task, sampler.actor.policy)
        return cls(sampler, (task.judge, *([task.held_out[0]] if task.held_out else [])))

    def begin(self, weights, request, which):
        parts = [self.sampler.draw([], weights, part) for part in request.cut(dist.get_world_size())]
        return Answers.joined(parts), which

    def finish(self, begun):
        answers, which = begun
        return answers, self.score(which, answers.exchanges)

    def score(self, which, exchanges):
        return judged(self.judges[which], exchanges)

    def map(self, weights, work, parts):
        return [self.sampler.work([], weights, work, part) for part in parts]


def learn(task, folder):
    """A learner's life, as `trueline.engines.ray.engine.learn` leads it."""
    fleet = Here.of(task)
    held_out = (FleetJudge(fleet, 1), task.held_out[1]) if task.held_out else None
    given = replace(task, judge=FleetJudge(fleet, 0), held_out=held_out)

    settings = task.config.align.ray

    @contextmanager
    def hire(actor, reference):
        rebuild = partial(whole_actor, given) if settings.shard else None
        yield Ranks(actor, reference, fleet, settings.ahead, rebuild=rebuild)

    align(given, folder, hire=hire, made=sharded_policies if settings.shard else None)


def one_update(task):
    """The first rollout and update, of a group or, without one, of this process alone; its metrics, the gradients of
    its last minibatch, and what this process holds: bytes of layers, of the rest."""
    settings = task.config.align
    algorithm = ALGORITHMS[settings.algorithm]
    alone = not dist.is_initialized()
    policy, reference = policies(task) if alone else sharded_policies(task)
    actor = Actor.new(policy, algorithm.heads, algorithm.targets)
    optimiser = actor.optimiser(settings.learning_rate)
    if alone:
        crew, judge = Forks(actor, reference), task.judge
    else:
        fleet = Here.of(task)
        crew, judge = Ranks(actor, reference, fleet, False, rebuild=partial(whole_actor, task)), FleetJudge(fleet, 0)
    answers, judgement = crew.answers(request_of(task, 0), judge, None)
    rollout = measure(crew, answers, judgement.rewards, settings, 1.0, 0.05)
    metrics = update(crew, optimiser, algorithm, algorithm.prepare(rollout, settings), settings, 1.0, ("update",))
    gradients = gathered([(n, p.grad) for n, p in actor.named_parameters()])
    return metrics, {n: g.numpy().copy() for n, g in gradients.items()}, _held(actor, optimiser)


def _held(actor, optimiser):
    held = [0, 0]
    for name, parameter in actor.named_parameters():
        moments = (optimiser.state[parameter][key] for key in ("exp_avg", "exp_avg_sq"))
        for tensor in (parameter, parameter.grad, *moments):
            part = tensor.to_local() if isinstance(tensor, DTensor) else tensor
            held["layers" not in name] += part.numel() * part.element_size()
    return held
