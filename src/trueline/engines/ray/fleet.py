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
from trueline.align.crew import Work
from trueline.align.judgement import Judge, Judgement, judged
from trueline.align.parts import gathered
from trueline.align.shares import cut
from trueline.align.trainer import AlignTask, trainable, untrained
from trueline.engines.ray.cluster import cause_of, import_ray
from trueline.engines.ray.travel import at_hand
from trueline.errors import InputError
from trueline.policy.load import Policy
from trueline.records import Exchange

RESTARTS = 50
"""Of one actor in a run: machines fail now and then; a model that does not fit would fail for ever."""

Weights = Mapping[str, np.ndarray]
"""By name, as bytes: numpy knows no bfloat16, and arrays are read from the object store without a copy."""


def weights_of(actor: Actor, *, keep: bool = True) -> Weights:
    """The weights that answers are drawn from. Where they lie in parts all learners ask, and those without `keep` get
    none."""
    return as_arrays(gathered(actor.drawn_weights(), keep=keep))


def as_arrays(weights: Mapping[str, torch.Tensor]) -> Weights:
    return {n: w.cpu().contiguous().flatten().view(torch.uint8).numpy() for n, w in weights.items()}


Resources = Mapping[str, float]
Held = list[Any]
"""A reference in a list: Ray gives that to an actor as it is. It comes with every call, since an actor that was started
again knows nothing; only then is it opened."""


class Sampler:
    """Draws answers with the weights that it is given."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.actor: Actor | None = None
        self.reference: Policy | None = None

    def start(self, task: Held) -> dict[str, str]:
        self._opened(task)
        return versions()

    def draw(self, task: Held, weights: Weights, request: Request) -> Answers:
        actor = self._with(task, weights)
        return draw(actor, actor.policy, request)  # asks nothing of the reference, which takes as much memory

    def work(self, task: Held, weights: Weights, work: Work, part: tuple[Any, ...]) -> Any:
        actor = self._with(task, weights)
        if self.reference is None:
            self.reference = untrained(at_hand(import_ray().get(task[0])), actor.policy)
        return work(actor, self.reference, *part)

    def _with(self, task: Held, weights: Weights) -> Actor:
        actor = self._opened(task)
        with torch.no_grad():
            for name, parameter in actor.drawn_weights():
                new = torch.from_numpy(weights[name].copy()).view(parameter.dtype)
                parameter.copy_(new.view_as(parameter))
        return actor

    def _opened(self, task: Held) -> Actor:
        if self.actor is None:
            opened = at_hand(import_ray().get(task[0]))
            algorithm = ALGORITHMS[opened.config.align.algorithm]
            self.actor = Actor.new(trainable(opened), algorithm.heads, algorithm.targets)
        return self.actor


class Scorer:
    """Says what one of some judges thinks of answers."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.judges: Sequence[Judge] | None = None

    def start(self, judges: Held) -> dict[str, str]:
        self._opened(judges)
        return versions()

    def score(self, judges: Held, which: int, exchanges: Sequence[Exchange]) -> Judgement:
        return judged(self._opened(judges)[which], exchanges)

    def score_answers(self, judges: Held, which: int, answers: Answers) -> Judgement:
        return self.score(judges, which, answers.exchanges)

    def _opened(self, judges: Held) -> Sequence[Judge]:
        if self.judges is None:
            self.judges = import_ray().get(judges[0])
        return self.judges


def versions() -> dict[str, str]:
    """What must be the same on all machines for the same result."""
    return {name: version(name) for name in ("trueline", "torch", "transformers")}


@dataclass(frozen=True)
class Fleet:
    """Handles of the samplers and scorers, and references to what they work with: the task and its judges."""

    samplers: tuple[Any, ...]
    scorers: tuple[Any, ...]
    task: Held
    judges: Held

    @classmethod
    def start(cls, task: AlignTask, judges: Any, sampler: Resources, scorer: Resources) -> Fleet:
        """align.workers samplers and align.ray.judges scorers with such resources each; judges: a reference to them.
        InputError where one of them cannot start, or has other versions than this process."""
        ray = import_ray()
        settings = task.config.align
        sampling = ALGORITHMS[settings.algorithm].on_policy or settings.ray.shard
        samplers = settings.workers if sampling else 0
        fleet = cls(
            tuple(_new(Sampler, sampler) for _ in range(samplers)),
            tuple(_new(Scorer, scorer) for _ in range(settings.ray.judges)),
            [ray.put(task)],
            [judges],
        )
        try:
            started = [s.start.remote(fleet.task) for s in fleet.samplers]
            found = ray.get(started + [s.start.remote(fleet.judges) for s in fleet.scorers])
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
        parts = request.cut(len(self.samplers))
        drawn = [s.draw.remote(self.task, held, part) for s, part in zip(self.samplers, parts, strict=False)]
        return [(one, self._scorer(i).score_answers.remote(self.judges, which, one)) for i, one in enumerate(drawn)]

    def finish(self, begun: Sequence[tuple[Any, Any]]) -> tuple[Answers, Judgement]:
        """Wait for what was begun."""
        found = self._get([list(pair) for pair in zip(*begun, strict=True)])
        return Answers.joined(found[0]), Judgement.joined(found[1])

    def map(self, weights: Weights, work: Work, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """work(actor, reference, *part) for at most a part a sampler, with such weights; results in order."""
        held = import_ray().put(weights)
        asked = zip(self.samplers, parts, strict=False)
        return self._get([[s.work.remote(self.task, held, work, part) for s, part in asked]])[0]

    def score(self, which: int, exchanges: Sequence[Exchange]) -> Judgement:
        """What a judge says of answers, shared out among the scorers."""
        parts = [exchanges[part] for part in cut(len(exchanges), len(self.scorers))]
        return Judgement.joined(
            self._get([[self._scorer(i).score.remote(self.judges, which, p) for i, p in enumerate(parts)]])[0]
        )

    def _scorer(self, part: int) -> Any:
        return self.scorers[part % len(self.scorers)]

    def _get(self, references: list[list[Any]]) -> list[list[Any]]:
        ray = import_ray()
        try:
            return [ray.get(row) for row in references]
        except ray.exceptions.RayError as error:
            raise cause_of(error) from error


def _new(kind: type, resources: Resources) -> Any:
    names = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    options = {names[name]: amount for name, amount in resources.items()}
    return import_ray().remote(kind).options(max_restarts=RESTARTS, max_task_retries=-1, **options).remote()
