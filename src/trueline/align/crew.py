"""The processes of a run: on a CPU forks of the trainer with one thread each, over the same weights.

The weights lie in shared memory, so that an optimiser step in the trainer is seen by all at once; each worker's
gradient lies in shared memory too. A small model gains more from two processes with a thread each than from two
threads: what is not arithmetic runs in parallel as well. How work is cut depends on the number of workers alone, so
that a run repeats bit for bit.
"""

from __future__ import annotations

import mmap
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch import multiprocessing as mp

from trueline.align.actor import Actor
from trueline.align.answers import Answers, Request, draw
from trueline.align.judgement import Judge, Judgement, judged
from trueline.errors import RunError, TruelineError
from trueline.policy.load import Policy

Work = Callable[..., Any]


class Crew(Protocol):
    """Those who do a run's work together. `actor` is trained, `reference` never; `size`: among how many work is cut;
    `leads`: whether this process is the one that writes; `ahead`: whether answers are by a policy one step older;
    `in_step`: whether each has a part of the weights, so that all must make as many passes, at the same time.
    """

    @property
    def actor(self) -> Actor: ...
    @property
    def reference(self) -> Policy: ...
    @property
    def size(self) -> int: ...
    @property
    def leads(self) -> bool: ...
    @property
    def ahead(self) -> bool: ...
    @property
    def in_step(self) -> bool: ...

    def answers(self, request: Request, judge: Judge, upcoming: Request | None) -> tuple[Answers, Judgement]:
        """The actor's answers and what the judge says of them; upcoming: what will be asked next, if anything."""

    def map(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """work(actor, reference, *part) for at most `size` parts; results in order."""

    def sample(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The same for work that draws answers, by those who have whole models."""

    def whole(self) -> Actor | None:
        """The actor with all of its weights, to be written; None for those that do not lead. All must ask."""

    def gather_gradients(self, parts: int) -> None:
        """Give the actor the sum of the gradients of those who had one of `parts`."""


@dataclass(frozen=True)
class Forks:
    """The crew of one machine: this process and the workers beside it, by their pipes and gradients (weights,)."""

    actor: Actor
    reference: Policy
    pipes: tuple[Any, ...] = ()
    gradients: tuple[Tensor, ...] = ()
    leads = True
    ahead = False
    in_step = False

    @property
    def size(self) -> int:
        return 1 + len(self.pipes)

    def answers(self, request: Request, judge: Judge, upcoming: Request | None) -> tuple[Answers, Judgement]:
        found = Answers.joined(self.map(draw, [(part,) for part in request.cut(self.size)]))
        return found, judged(judge, found.exchanges)

    def map(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The first part is done here."""
        for pipe, part in zip(self.pipes, parts[1:], strict=False):
            pipe.send((work, part))
        found = [work(self.actor, self.reference, *part) for part in parts[:1]]
        return found + [_receive(pipe) for pipe, _ in zip(self.pipes, parts[1:], strict=False)]

    def sample(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self.map(work, parts)

    def whole(self) -> Actor:
        return self.actor

    def gather_gradients(self, parts: int) -> None:
        """The workers' are added to the trainer's own, in their order."""
        for flat in self.gradients[: parts - 1]:
            for parameter, part in zip(_trained(self.actor), _views(flat, self.actor), strict=True):
                if parameter.grad is None:
                    parameter.grad = part.clone()
                else:
                    parameter.grad += part


@contextmanager
def crew(actor: Actor, reference: Policy, workers: int) -> Iterator[Forks]:
    """Fork workers - 1 processes beside this one, and end them. On an accelerator, or where fork is not safe, none."""
    if workers == 1 or actor.policy.device.type != "cpu" or sys.platform != "linux":
        torch.set_num_threads(workers)
        yield Forks(actor, reference)
        return
    torch.set_num_threads(1)
    for _, weight in actor.named_weights():
        weight.data = _shared(weight.numel(), weight.dtype).view_as(weight).copy_(weight.data)
    size = sum(p.numel() for p in _trained(actor))
    gradients = tuple(_shared(size, torch.float32) for _ in range(workers - 1))
    context = mp.get_context("fork")
    pipes = [context.Pipe() for _ in gradients]
    processes = [
        context.Process(target=_serve, args=(actor, reference, i, pipes, gradients[i]), daemon=True)
        for i in range(workers - 1)
    ]
    for process in processes:
        process.start()
    for _, theirs in pipes:
        theirs.close()
    try:
        yield Forks(actor, reference, tuple(ours for ours, _ in pipes), gradients)
    finally:
        for ours, _ in pipes:
            ours.close()
        for process in processes:
            process.join(timeout=5)
            process.kill()


def _shared(size: int, dtype: torch.dtype) -> Tensor:
    """(size,) zeros that a fork shares. Not torch's own way, which fills /dev/shm: containers keep that small."""
    return torch.frombuffer(mmap.mmap(-1, size * dtype.itemsize), dtype=dtype)


def _serve(actor: Actor, reference: Policy, number: int, pipes: Sequence[Any], gradient: Tensor) -> None:
    """A worker's life: take work from its pipe until the trainer is gone. Ctrl-C is the trainer's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    for ours, _ in pipes:
        ours.close()
    pipe = pipes[number][1]
    for parameter, part in zip(_trained(actor), _views(gradient, actor), strict=True):
        parameter.grad = part
    while True:
        try:
            work, part = pipe.recv()
        except (EOFError, OSError):
            return
        gradient.zero_()
        try:
            result = work(actor, reference, *part)
        except Exception as error:
            result = error if isinstance(error, TruelineError) else RunError(f"{type(error).__name__}: {error}")
        try:
            pipe.send(result)
        except OSError:  # the trainer was stopped meanwhile
            return


def _receive(pipe: Any) -> Any:
    try:
        result = pipe.recv()
    except (EOFError, OSError) as error:
        raise RunError(
            "a worker process ended by itself, perhaps for want of memory; lower align.micro_batch or align.workers "
            "and go on with `trueline resume`"
        ) from error
    if isinstance(result, Exception):
        raise result
    return result


def _trained(actor: Actor) -> list[nn.Parameter]:
    return [p for _, p in actor.named_parameters()]


def _views(flat: Tensor, actor: Actor) -> list[Tensor]:
    """The flat gradient as one view a parameter."""
    sizes = [p.numel() for p in _trained(actor)]
    return [part.view_as(p) for part, p in zip(flat.split(sizes), _trained(actor), strict=True)]
