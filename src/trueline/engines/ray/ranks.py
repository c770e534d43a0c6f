"""The crew of a data-parallel learner group: processes that do the same run, each its share of the sums.

torch.distributed joins them: gradients are summed once an optimiser step, over all micro-batches, which is what DDP
does a bucket at a time. A loss is divided by the whole batch's counts, so that the sum is the gradient and all take the
same step. The first rank speaks with the fleet, for all. Where layers are spread over the group (`sharding.py`), all go
through them in step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from trueline.align.actor import Actor
from trueline.align.answers import Answers, Request
from trueline.align.checkpoint import saved
from trueline.align.crew import Work
from trueline.align.judgement import Judge, Judgement
from trueline.align.parts import gathered, is_part
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
    answers are drawn with, where those of a step are sampled ahead and a run goes on; rebuild: where the weights are
    spread over the group, what makes a whole actor of them.
    """

    actor: Actor
    reference: Policy
    fleet: Fleet
    ahead: bool
    older: Weights | None = None
    begun: dict[Key, Any] = field(default_factory=dict)
    rebuild: Callable[[dict[str, Tensor]], Actor] | None = None

    @property
    def in_step(self) -> bool:
        return self.rebuild is not None

    @property
    def size(self) -> int:
        return dist.get_world_size()

    @property
    def leads(self) -> bool:
        return dist.get_rank() == 0

    def answers(self, request: Request, judge: Judge, upcoming: Request | None) -> tuple[Answers, Judgement]:
        assert isinstance(judge, FleetJudge)
        which, now = judge.which, weights_of(self.actor, keep=self.leads)

        def ask() -> tuple[Answers, Judgement]:
            begun = self.begun.pop(request.key, None) or self.fleet.begin(self.older or now, request, which)
            if self.ahead and upcoming is not None:
                self.begun[upcoming.key] = self.fleet.begin(now, upcoming, which)
            return self.fleet.finish(begun)

        return from_first(ask)

    def map(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Each rank does its part, and all get all results. In step an error ends the group: others wait within it."""
        rank = dist.get_rank()
        own = None
        if self.in_step:
            own = work(self.actor, self.reference, *parts[rank])
        elif rank < len(parts):
            own = _caught(lambda: work(self.actor, self.reference, *parts[rank]))
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, own)
        return [_opened(one) for one in found[: len(parts)]]

    def sample(self, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """In step, by the samplers: answers end after different numbers of tokens."""
        if not self.in_step:
            return self.map(work, parts)
        now = weights_of(self.actor, keep=self.leads)
        return from_first(lambda: self.fleet.map(now, work, parts))

    def whole(self) -> Actor:
        if self.rebuild is None:
            return self.actor
        weights = gathered(self.actor.named_weights(), keep=self.leads)
        return self.rebuild(weights) if self.leads else self.actor

    def gather_gradients(self, parts: int) -> None:
        """Those of weights that are spread over the group were summed on the way."""
        trained = [p for _, p in self.actor.named_parameters() if not is_part(p)]
        if not trained:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in trained])
        dist.all_reduce(flat)
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)


def require_same(folder: Path) -> None:
    """RunError on all ranks where one does not see the run's folder; RuntimeError, after which the group starts again,
    where they do not see the same step of it."""
    seen: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(seen, (folder.is_dir(), [p.name for p in saved(folder / "checkpoints")[-1:]]))
    if not all(there for there, _ in seen):
        raise RunError(
            f"{folder}: not every node of the cluster sees this folder; put the project on storage that all share, "
            "such as NFS, or set align.ray.storage (docs/scale.md)"
        )
    if any(steps != seen[0][1] for _, steps in seen):
        raise RuntimeError("the learners see different steps of the run")
