"""PPO: actor-critic with a clipped probability ratio and generalised advantages, a token being an action.

Schulman et al. 2017, "Proximal policy optimization algorithms"; for language models Huang et al. 2024, "The N+
Implementation Details of RLHF with PPO":
    L_policy = -mean min(rho A, clip(rho, 1 - eps, 1 + eps) A),   rho = pi / pi_old
    L_value = 0.5 mean max((V - R)^2, (V_clipped - R)^2),   L = L_policy + c L_value
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trueline.align.advantages import generalised_advantages, token_rewards, whiten
from trueline.align.algorithms.base import Algorithm, Metrics, Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Advantages (B, T), whitened over the global batch, and returns (B, T), the critic's targets."""
    assert rollout.values is not None
    rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.ref_logprobs, rollout.mask, rollout.kl_coef)
    advantages, returns = generalised_advantages(
        rewards, rollout.values, rollout.mask, config.ppo.gamma, config.ppo.lam
    )
    return replace(rollout, advantages=whiten(advantages, rollout.mask), returns=returns)


def loss(outputs: Outputs, rollout: Rollout, config: AlignConfig) -> tuple[Tensor, Metrics]:
    """The clipped surrogate plus the clipped value loss, each a mean over the global batch's tokens."""
    assert rollout.advantages is not None and rollout.returns is not None
    assert rollout.values is not None and outputs.values is not None
    mask, settings = rollout.mask, config.ppo

    def mean(x: Tensor) -> Tensor:
        return torch.where(mask, x, 0.0).sum() / rollout.tokens

    log_ratio = torch.where(mask, outputs.logprobs - rollout.logprobs, 0.0)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    policy = -mean(torch.minimum(ratio * rollout.advantages, clipped * rollout.advantages))
    near = rollout.values + (outputs.values - rollout.values).clamp(-settings.value_clip, settings.value_clip)
    value = 0.5 * mean(torch.maximum((outputs.values - rollout.returns) ** 2, (near - rollout.returns) ** 2))
    metrics = {
        "policy_loss": policy.item(),
        "value_loss": value.item(),
        "approx_kl": mean(ratio - 1 - log_ratio).item(),
        "clip_fraction": mean(((ratio - 1).abs() > settings.clip).float()).item(),
    }
    return policy + settings.value_coefficient * value, metrics


ALGORITHM = Algorithm(
    "ppo",
    prepare,
    loss,
    passes=lambda config: (config.ppo.epochs, config.ppo.minibatches),
    heads=("value",),
    warmup=lambda config: config.ppo.critic_warmup,
)
