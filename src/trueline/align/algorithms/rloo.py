"""RLOO: policy gradient with the other answers to the same prompt as the baseline.

Ahmadian et al. 2024, "Back to Basics: Revisiting REINFORCE-style optimization for learning from human feedback":
    R(y) = r(y) - beta * log(pi(y) / ref(y)),   grad J = mean over y of (R(y) - mean of the others) * grad log pi(y)
An answer is one action; its KL is part of its reward.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trueline.align.advantages import leave_one_out
from trueline.align.algorithms.base import Algorithm, Metrics, Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Advantages (B, T): the same for all tokens of an answer."""
    kl = torch.where(rollout.mask, rollout.logprobs - rollout.ref_logprobs, 0.0).sum(-1)
    advantage = leave_one_out(rollout.scores - rollout.kl_coef * kl, rollout.group)
    return replace(rollout, advantages=advantage.unsqueeze(-1).expand_as(rollout.logprobs))


def loss(outputs: Outputs, rollout: Rollout, config: AlignConfig) -> tuple[Tensor, Metrics]:
    """-mean over answers of A * log pi(answer)."""
    assert rollout.advantages is not None
    policy = -torch.where(rollout.mask, rollout.advantages * outputs.logprobs, 0.0).sum() / rollout.answers
    return policy, {"policy_loss": policy.item()}


ALGORITHM = Algorithm("rloo", prepare, loss)
