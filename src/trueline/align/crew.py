"""The processes of a run on a CPU: forks of the trainer with one thread each, over the same weights.

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
from typing import Any

import torch
from torch import Tensor, nn
from torch import multiprocessing as mp

from trueline.align.actor import Actor
from trueline.errors import RunError, TruelineError
from trueline.policy.load import Policy

Work = Callable[..., Any]


@dataclass(frozen=True)
class Crew:
    """`actor` is trained, `reference` never; workers beside the trainer: their pipes and gradients (weights,)."""

    actor: Actor
    reference: Policy
    pipes: tuple[Any, ...] = ()
    gradients: tuple[Tensor, ...] = ()

    @property
    def size(self) -> int:
        return 1 + len(self.pipes)

    def map(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """work(actor, reference, *part) for at most `size` parts, the first of them here; results in order."""
        for pipe, part in zip(self.pipes, parts[1:], strict=False):
            pipe.send((work, part))
        found = [work(self.actor, self.reference, *part) for part in parts[:1]]
        return found + [_receive(pipe) for pipe, _ in zip(self.pipes, parts[1:], strict=False)]

    def gather_gradients(self, parts: int) -> None:
        """Add the gradients of the workers that had one of `parts` to the trainer's own, in their order."""
        for flat in self.gradients[: parts - 1]:
            for parameter, part in zip(_trained(self.actor), _views(flat, self.actor), strict=True):
                if parameter.grad is None:
                    parameter.grad = part.clone()
                else:
                    parameter.grad += part


@contextmanager
def crew(actor: Actor, reference: Policy, workers: int) -> Iterator[Crew]:
    """Fork workers - 1 processes beside this one, and end them. On an accelerator, or where fork is not safe, none."""
    if workers == 1 or actor.policy.device.type != "cpu" or sys.platform != "linux":
        torch.set_num_threads(workers)
        yield Crew(actor, reference)
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
        yield Crew(actor, reference, tuple(ours for ours, _ in pipes), gradients)
    finally:
        for ours, _ in pipes:
            ours.close()
        for process in processes:
            process.join(timeout=5)
            process.kill()


def _shared(size: int, dtype: torch.dtype) -> Tensor:
    """(size,) zeros that a fork shares. Not torch's own way, which fills /dev/shm: containers keep that small."""
    return torch.frombuffer(mmap.mmap(-1, size * dtype.itemsize), dtype=dtype)


def cut(n: int, parts: int) -> list[slice]:
    """range(n) as up to `parts` neighbouring slices of nearly equal length; none is empty."""
    bounds = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b]


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
