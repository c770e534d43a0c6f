"""REINFORCE with a baseline: policy gradient, the mean of all other answers of the batch being the baseline.

Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning":
    R(y) = r(y) - beta * log(pi(y) / ref(y)),   grad J = mean over y of (R(y) - b) * grad log pi(y)
b leaves out the answer itself, so that it does not depend on it and the gradient stays unbiased.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from trueline.align.advantages import leave_one_out
from trueline.align.algorithms.base import Algorithm
from trueline.align.algorithms.rloo import loss
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Advantages (B, T): the same for all tokens of an answer."""
    kl = torch.where(rollout.mask, rollout.logprobs - rollout.ref_logprobs, 0.0).sum(-1)
    one_group = torch.zeros_like(rollout.group)
    advantage = leave_one_out(rollout.scores - rollout.kl_coef * kl, one_group)
    return replace(rollout, advantages=advantage.unsqueeze(-1).expand_as(rollout.logprobs))


ALGORITHM = Algorithm("reinforce", prepare, loss)
