"""What an algorithm is: a record of two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from trueline.align.rollout import Rollout
from trueline.config import AlignConfig

Metrics = dict[str, float]


@dataclass(frozen=True)
class Outputs:
    """What the model says of the answers now: logprobs (B, T) and, with a value head, values (B, T)."""

    logprobs: Tensor
    values: Tensor | None = None


@dataclass(frozen=True)
class Algorithm:
    """prepare adds advantages (and targets) to the whole batch; loss is a sum over its micro-batch divided by the
    global counts, so that micro-batches add up. Metrics of a loss are such shares too. epochs and minibatches: how
    the batch is gone through; heads: what the algorithm needs on the trunk.
    """

    name: str
    prepare: Callable[[Rollout, AlignConfig], Rollout]
    loss: Callable[[Outputs, Rollout, AlignConfig], tuple[Tensor, Metrics]]
    passes: Callable[[AlignConfig], tuple[int, int]]
    heads: tuple[str, ...] = ()
