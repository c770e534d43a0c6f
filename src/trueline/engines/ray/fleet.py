"""The actors that sample answers and those that score them.

Both are pure: what a call gives depends on its arguments alone, so that Ray may do one again wherever an actor, or the
node that it was on, is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from trueline.align.actor import Actor
from trueline.align.algorithms import ALGORITHMS
from trueline.align.answers import Answers, Request, draw
from trueline.align.judgement import Judge, Judgement, judged
from trueline.align.shares import cut
from trueline.align.trainer import AlignTask, policies
from trueline.engines.ray.cluster import cause_of, import_ray
from trueline.errors import InputError
from trueline.records import Exchange

RESTARTS = 50
"""Of one actor in a run: machines fail now and then; a model that does not fit would fail for ever."""

Weights = Mapping[str, np.ndarray]
"""By name, as bytes: numpy knows no bfloat16, and arrays are read from the object store without a copy."""


def weights_of(actor: Actor) -> Weights:
    """The weights that are trained."""
    return as_arrays({n: p.detach() for n, p in actor.policy_parameters()})


def as_arrays(weights: Mapping[str, torch.Tensor]) -> Weights:
    return {n: w.cpu().contiguous().flatten().view(torch.uint8).numpy() for n, w in weights.items()}


Held = list[Any]
"""A reference in a list: Ray gives that to an actor as it is, and starts it again with it."""


class Sampler:
    """Draws answers with the weights that it is given."""

    def __init__(self, task: Held) -> None:
        torch.set_num_threads(1)
        policy, self.reference = policies(import_ray().get(task[0]))
        self.actor = Actor.new(policy)

    def versions(self) -> dict[str, str]:
        return versions()

    def draw(self, weights: Weights, request: Request) -> Answers:
        with torch.no_grad():
            for name, parameter in self.actor.policy_parameters():
                new = torch.from_numpy(weights[name].copy()).view(parameter.dtype)
                parameter.copy_(new.view_as(parameter))
        return draw(self.actor, self.reference, request)


class Scorer:
    """Says what one of some judges thinks of answers."""

    def __init__(self, judges: Held) -> None:
        torch.set_num_threads(1)
        self.judges: Sequence[Judge] = import_ray().get(judges[0])

    def versions(self) -> dict[str, str]:
        return versions()

    def score(self, which: int, exchanges: Sequence[Exchange]) -> Judgement:
        return judged(self.judges[which], exchanges)

    def score_answers(self, which: int, answers: Answers) -> Judgement:
        return self.score(which, answers.exchanges)


def versions() -> dict[str, str]:
    """What must be the same on all machines for the same result."""
    return {name: version(name) for name in ("trueline", "torch", "transformers")}


@dataclass(frozen=True)
class Fleet:
    """Handles of the samplers and scorers, and what they are made of, which must live until no one starts again."""

    samplers: tuple[Any, ...]
    scorers: tuple[Any, ...]
    held: tuple[Any, ...] = ()

    @classmethod
    def start(
        cls, task: AlignTask, judges: Sequence[Judge], sampler: Mapping[str, float], scorer: Mapping[str, float]
    ) -> Fleet:
        """align.workers samplers and align.ray.judges scorers with such resources each. InputError where one of them
        cannot start, or has other versions than this process."""
        ray = import_ray()
        settings = task.config.align
        told = ray.put(task)
        asked = ray.put(tuple(judges))
        sampling = ALGORITHMS[settings.algorithm].on_policy
        samplers = settings.workers if sampling else 0
        fleet = cls(
            tuple(_start(Sampler, sampler, told) for _ in range(samplers)),
            tuple(_start(Scorer, scorer, asked) for _ in range(settings.ray.judges)),
            (told, asked),
        )
        try:
            found = ray.get([one.versions.remote() for one in (*fleet.samplers, *fleet.scorers)])
        except ray.exceptions.RayError as error:
            raise cause_of(error) from error
        for theirs in found:
            if theirs != versions():
                raise InputError(
                    f"the cluster's nodes have {theirs} and this machine has {versions()}: install the same"
                )
        return fleet

    def begin(self, weights: Weights, request: Request, which: int) -> list[tuple[Any, Any]]:
        """Ask for answers, each part scored as soon as it is there; returns references to both, by part."""
        ray = import_ray()
        held = ray.put(weights)
        drawn = [
            s.draw.remote(held, part) for s, part in zip(self.samplers, request.cut(len(self.samplers)), strict=False)
        ]
        return [(one, self._scorer(i).score_answers.remote(which, one)) for i, one in enumerate(drawn)]

    def finish(self, begun: Sequence[tuple[Any, Any]]) -> tuple[Answers, Judgement]:
        """Wait for what was begun."""
        found = self._get([list(pair) for pair in zip(*begun, strict=True)])
        return Answers.joined(found[0]), Judgement.joined(found[1])

    def score(self, which: int, exchanges: Sequence[Exchange]) -> Judgement:
        """What a judge says of answers, shared out among the scorers."""
        parts = [exchanges[part] for part in cut(len(exchanges), len(self.scorers))]
        return Judgement.joined(self._get([[self._scorer(i).score.remote(which, p) for i, p in enumerate(parts)]])[0])

    def _scorer(self, part: int) -> Any:
        return self.scorers[part % len(self.scorers)]

    def _get(self, references: list[list[Any]]) -> list[list[Any]]:
        ray = import_ray()
        try:
            return [ray.get(row) for row in references]
        except ray.exceptions.RayError as error:
            raise cause_of(error) from error


def _start(kind: type, resources: Mapping[str, float], made_of: Any) -> Any:
    names = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    options = {names[name]: amount for name, amount in resources.items()}
    return import_ray().remote(kind).options(max_restarts=RESTARTS, max_task_retries=-1, **options).remote([made_of])
