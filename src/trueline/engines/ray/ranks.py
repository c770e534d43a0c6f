"""The crew of a data-parallel learner group: processes that do the same run, each its share of the sums.

torch.distributed joins them: gradients are summed once an optimiser step, over all micro-batches, which is what DDP
does a bucket at a time. A loss is divided by the whole batch's counts, so that the sum is the gradient and all take the
same step. The first rank speaks with the fleet, for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from trueline.align.actor import Actor
from trueline.align.answers import Answers, Request
from trueline.align.crew import Work
from trueline.align.judgement import Judge, Judgement
from trueline.engines.ray.fleet import Fleet, Weights, weights_of
from trueline.errors import RunError, TruelineError
from trueline.policy.load import Policy
from trueline.policy.sampler import Key
from trueline.records import Exchange

Result = TypeVar("Result")


def from_first(work: Callable[[], Result]) -> Result:
    """What `work` gives on the first rank, on all of them; an error too."""
    told: list[Any] = [_caught(work) if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(told)
    return _opened(told[0])


def _caught(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except TruelineError as error:
        return error


def _opened(found: Any) -> Any:
    if isinstance(found, TruelineError):
        raise found
    return found


@dataclass(frozen=True)
class FleetJudge:
    """A judge whose model lies with the fleet's scorers: the training one (0) or the held-out one (1)."""

    fleet: Fleet
    which: int

    def __call__(self, exchanges: Sequence[Exchange]) -> Judgement:
        return from_first(lambda: self.fleet.score(self.which, exchanges))


@dataclass(frozen=True)
class Ranks:
    """This process's place in the group. begun: what was asked ahead, by its key; older: the weights that the first
    answers are drawn with, where those of a step are sampled ahead and a run goes on.
    """

    actor: Actor
    reference: Policy
    fleet: Fleet
    ahead: bool
    older: Weights | None = None
    begun: dict[Key, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return dist.get_world_size()

    @property
    def leads(self) -> bool:
        return dist.get_rank() == 0

    def answers(self, request: Request, judge: Judge, upcoming: Request | None) -> tuple[Answers, Judgement]:
        assert isinstance(judge, FleetJudge)
        which = judge.which

        def ask() -> tuple[Answers, Judgement]:
            now = weights_of(self.actor)
            begun = self.begun.pop(request.key, None) or self.fleet.begin(self.older or now, request, which)
            if self.ahead and upcoming is not None:
                self.begun[upcoming.key] = self.fleet.begin(now, upcoming, which)
            return self.fleet.finish(begun)

        return from_first(ask)

    def map(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Each rank does its part, and all get all results."""
        rank = dist.get_rank()
        own = _caught(lambda: work(self.actor, self.reference, *parts[rank])) if rank < len(parts) else None
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, own)
        return [_opened(one) for one in found[: len(parts)]]

    def gather_gradients(self, parts: int) -> None:
        trained = [p for _, p in self.actor.named_parameters()]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in trained])
        dist.all_reduce(flat)
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)


def require_folder(folder: str) -> None:
    """RunError on all ranks where one does not see the run's folder."""
    seen: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(seen, Path(folder).is_dir())
    if not all(seen):
        raise RunError(
            f"{folder}: not every node of the cluster sees this folder; put the project on storage that all share, "
            "such as NFS (docs/scale.md)"
        )
