"""What an algorithm is: a record of two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trueline.align.rollout import Rollout
from trueline.config import AlignConfig

Metrics = dict[str, float]


@dataclass(frozen=True)
class Outputs:
    """What the model says of the answers now: logprobs (B, T); with a value head, values (B, T), and target_values
    (B, T) of its slow copy; with Q heads, q (2, B, T) of the tokens that were taken, q_logsumexp (2, B, T) over all
    tokens, and target_q (B, T), the smaller of the slow copies.
    """

    logprobs: Tensor
    values: Tensor | None = None
    target_values: Tensor | None = None
    q: Tensor | None = None
    q_logsumexp: Tensor | None = None
    target_q: Tensor | None = None


@dataclass(frozen=True)
class Algorithm:
    """prepare adds advantages (and targets) to the whole batch; loss is a sum over its micro-batch divided by the
    global counts, so that micro-batches add up. Metrics of a loss are such shares too.

    passes: epochs and minibatches, how the batch is gone through
    heads: what the algorithm needs on the trunk; targets: those of them that have a slow copy
    follow: the share of the way that slow copies go to their heads, and every how many steps
    warmup: first steps that train only the heads
    learns_from: answers that it samples, or given ones, or pairs of them, with their labels
    decoding: the weight of the Q heads when answers are drawn; None: the language model alone
    """

    name: str
    prepare: Callable[[Rollout, AlignConfig], Rollout]
    loss: Callable[[Outputs, Rollout, AlignConfig], tuple[Tensor, Metrics]]
    passes: Callable[[AlignConfig], tuple[int, int]] = lambda config: (1, 1)
    heads: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    follow: Callable[[AlignConfig], tuple[float, int]] = lambda config: (1.0, 1)
    warmup: Callable[[AlignConfig], int] = lambda config: 0
    learns_from: Literal["samples", "answers", "pairs"] = "samples"
    decoding: Callable[[AlignConfig], float] | None = None

    @property
    def on_policy(self) -> bool:
        return self.learns_from == "samples"
