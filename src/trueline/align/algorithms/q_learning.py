"""Soft Q-learning on sampled answers, a token being an action; the language model itself is the Q function.

With a reward of beta per nat of KL to the reference, the Bellman equations are soft (Fox et al. 2016, "Taming the
noise in reinforcement learning via soft updates"; Haarnoja et al. 2017, "Reinforcement learning with deep energy-based
policies"):
    Q(s, a) = r(s, a) + V(s'),   V(s) = beta log sum over a of ref(a|s) exp(Q(s, a) / beta)
    pi(a|s) = ref(a|s) exp((Q(s, a) - V(s)) / beta)
The last line, read backwards, makes Q of a value head and the language model's own logits, so that V is its soft
maximum exactly, the policy needs no other decoding, and no head has the size of the vocabulary (Schulman et al. 2017,
"Equivalence between policy gradients and soft Q-learning", 3.3; Rafailov et al. 2024, "From r to Q*: your language
model is secretly a Q-function"):
    Q(s, a) = V(s) + beta log(pi(a|s) / ref(a|s))
    L = mean (Q - y)^2 / 2,   y_t = r_t + (1 - lambda) V_slow(s_t+1) + lambda (y_t+1 - beta log(pi/ref)_t+1)
V_slow is a Polyak average of the value head (Lillicrap et al. 2016). A soft maximum that is a normaliser takes no
maximum over noisy estimates, which is what double Q-learning (van Hasselt et al. 2016) is there to mend.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from trueline.align.advantages import generalised_advantages, token_rewards
from trueline.align.algorithms.base import Algorithm, Metrics, Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Returns (B, T): the soft lambda-return of each state, y_t - beta log(pi/ref)_t above."""
    assert rollout.target_values is not None
    rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.ref_logprobs, rollout.mask, rollout.kl_coef)
    _, returns = generalised_advantages(rewards, rollout.target_values, rollout.mask, 1.0, config.q_learning.lam)
    return replace(rollout, returns=returns)


def loss(outputs: Outputs, rollout: Rollout, config: AlignConfig) -> tuple[Tensor, Metrics]:
    """The squared soft Bellman error, a mean over the global batch's tokens.

    It is taken once for the logits, in units of beta, and once for the value head, so that neither's step depends on
    how small beta is; both vanish at the same place.
    """
    assert rollout.returns is not None and outputs.values is not None
    mask, beta = rollout.mask, rollout.kl_coef

    def mean(x: Tensor) -> Tensor:
        return torch.where(mask, x, 0.0).sum() / rollout.tokens

    target = rollout.returns + beta * (rollout.logprobs - rollout.ref_logprobs)
    advantage = beta * (outputs.logprobs - rollout.ref_logprobs)
    policy = mean((outputs.values.detach() + advantage - target) ** 2) / (2 * beta)
    value = mean((outputs.values + advantage.detach() - target) ** 2) / 2
    metrics = {"policy_loss": policy.item(), "value_loss": value.item()}
    return policy + config.q_learning.value_coefficient * value, metrics


ALGORITHM = Algorithm(
    "q_learning",
    prepare,
    loss,
    passes=lambda config: (config.q_learning.epochs, 1),
    heads=("value",),
    targets=("value",),
    follow=lambda config: (config.q_learning.target_rate, config.q_learning.target_every),
    warmup=lambda config: config.q_learning.warmup,
)
