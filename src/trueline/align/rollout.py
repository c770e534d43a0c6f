"""What a step of reinforcement learning works on: answers as tensors, with all that is known about them.

Letters: B answers, P prompt tokens, T answer tokens, L = P + T; of an episode of several turns T counts the policy's
own tokens alone, one behind the other; what others say between them is context (policy/scoring.py). Fields never change
their meaning; later stages fill what is None. Entries where `mask` is False are rubbish and must not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from trueline.policy.scoring import Batch


@dataclass(frozen=True)
class Rollout:
    """
    batch: tokens, attention (B, L) and mask (B, T), the end token counted in
    group: (B,) long, equal for answers to the same prompt
    logprobs: (B, T) of the policy before the update, which sampled; ref_logprobs: (B, T) of the reference; nats
    scores: (B,) the objective's reward of each answer, or that of its label
    kl_coef: reward per nat
    tokens, answers: how many the whole (global) batch has; a loss divides by these, so that cutting it into
        micro-batches changes nothing
    values, target_values: (B, T) of the critic and of its slow copy when sampling
    advantages, returns: (B, T), filled by Algorithm.prepare
    rival: (B,) log(pi / ref) of the other answer of a pair, filled by Algorithm.prepare
    sampled_logprobs: (B, T) of an older policy, where that one sampled
    """

    batch: Batch
    group: Tensor
    logprobs: Tensor
    ref_logprobs: Tensor
    scores: Tensor
    kl_coef: float
    tokens: int
    answers: int
    values: Tensor | None = None
    target_values: Tensor | None = None
    advantages: Tensor | None = None
    returns: Tensor | None = None
    rival: Tensor | None = None
    sampled_logprobs: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        return self.batch.mask

    def rows(self, index: Tensor) -> Rollout:
        """Some of the answers; `tokens` and `answers` stay as they are."""
        picked: dict[str, Any] = {
            f.name: value[index] for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, batch=self.batch.rows(index), **picked)

    def trimmed(self) -> Rollout:
        """The same answers without the columns that none of them fills; padding costs as much as tokens."""
        batch, width = self.batch.trimmed()
        cut: dict[str, Any] = {
            f.name: value[:, :width]
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor) and value.dim() == 2
        }
        return replace(self, batch=batch, **cut)

    def as_whole(self) -> Rollout:
        """The same answers as a global batch of their own (a minibatch)."""
        return replace(self, tokens=int(self.mask.sum()), answers=len(self.scores))
