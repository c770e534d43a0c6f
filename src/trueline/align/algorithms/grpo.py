"""GRPO: PPO's clipped ratio without a critic; an answer is judged against the others to the same prompt.

Shao et al. 2024, "DeepSeekMath", with the KL as a term of the loss (the k3 estimator, Schulman 2020):
    A(y) = (r(y) - mean of the group) / deviation of the group
    L = -mean over y of 1/|y| sum over t of [min(rho A, clip(rho, 1 - eps, 1 + eps) A) - beta * k3]
    rho = pi / pi_old,   k3 = ref / pi - log(ref / pi) - 1
unbiased: Dr. GRPO (Liu et al. 2025, "Understanding R1-Zero-like training"): neither deviation nor 1/|y|.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trueline.align.advantages import group_normalised
from trueline.align.algorithms.base import Algorithm, Metrics, Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Advantages (B, T): the same for all tokens of an answer."""
    advantage = group_normalised(rollout.scores, rollout.group, divide=not config.grpo.unbiased)
    return replace(rollout, advantages=advantage.unsqueeze(-1).expand_as(rollout.logprobs))


def loss(outputs: Outputs, rollout: Rollout, config: AlignConfig) -> tuple[Tensor, Metrics]:
    """The clipped surrogate plus the KL, a mean over the global batch's answers."""
    assert rollout.advantages is not None
    mask, settings = rollout.mask, config.grpo
    length = torch.ones_like(rollout.scores) if settings.unbiased else mask.sum(-1).clamp(min=1)

    def mean(x: Tensor) -> Tensor:
        return (torch.where(mask, x, 0.0).sum(-1) / length).sum() / rollout.answers

    log_ratio = torch.where(mask, outputs.logprobs - rollout.logprobs, 0.0)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    policy = -mean(torch.minimum(ratio * rollout.advantages, clipped * rollout.advantages))
    kl = mean(k3(torch.where(mask, outputs.logprobs - rollout.ref_logprobs, 0.0)))
    metrics = {
        "policy_loss": policy.item(),
        "kl_loss": kl.item(),
        "approx_kl": (ratio - 1 - log_ratio).sum().item() / rollout.tokens,
        "clip_fraction": (((ratio - 1).abs() > settings.clip) & mask).sum().item() / rollout.tokens,
    }
    return policy + rollout.kl_coef * kl, metrics


def k3(log_ratio: Tensor) -> Tensor:
    """exp(-d) + d - 1 of d = log(pi / ref), d held within 20 and the result within 10: its exp overflows."""
    d = log_ratio.clamp(-20, 20)
    return ((-d).exp() + d - 1).clamp(-10, 10)


ALGORITHM = Algorithm("grpo", prepare, loss, passes=lambda config: (config.grpo.epochs, 1))
