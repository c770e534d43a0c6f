"""ILQL: implicit Q-learning from given answers and their rewards; nothing is sampled.

Snell et al. 2022, "Offline RL for natural language generation with implicit language Q learning", as in trlX:
    L_Q = sum over the twins of mean (Q_i(s, a) - r - gamma V(s'))^2
    L_V = mean |tau - 1(Q_slow < V)| (Q_slow - V)^2,   Q_slow = min over the twins' Polyak averages
    L_CQL = sum over the twins of mean -log softmax(Q_i(s, .))[a],   L_AWAC = mean -log pi(a|s)
    L = L_Q + L_V + c_cql L_CQL + c_awac L_AWAC
Answers are drawn from log pi + beta * (Q_slow - V). The reward stands on the last token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trueline.align.advantages import token_rewards
from trueline.align.algorithms.base import Algorithm, Metrics, Outputs
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig


def prepare(rollout: Rollout, config: AlignConfig) -> Rollout:
    """Nothing: the targets move with the heads."""
    return rollout


def loss(outputs: Outputs, rollout: Rollout, config: AlignConfig) -> tuple[Tensor, Metrics]:
    """The four terms, each a mean over the global batch's tokens."""
    assert outputs.values is not None and outputs.target_q is not None
    assert outputs.q is not None and outputs.q_logsumexp is not None
    mask, settings, values = rollout.mask, config.ilql, outputs.values

    def mean(x: Tensor) -> Tensor:
        return torch.where(mask, x, 0.0).sum() / rollout.tokens

    rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.logprobs, mask, 0.0)
    following = torch.where(mask[:, 1:], values[:, 1:], 0.0).detach()
    target = rewards + settings.gamma * torch.nn.functional.pad(following, (0, 1))
    error = outputs.target_q.detach() - values
    weight = (settings.tau - (error < 0).to(error.dtype)).abs()
    q = mean(((outputs.q - target) ** 2).sum(0))
    value = mean(weight * error**2)
    cql = mean((outputs.q_logsumexp - outputs.q).sum(0))
    awac = -mean(outputs.logprobs)
    metrics = {"q_loss": q.item(), "value_loss": value.item(), "cql_loss": cql.item(), "awac_loss": awac.item()}
    return q + value + settings.cql * cql + settings.awac * awac, metrics


ALGORITHM = Algorithm(
    "ilql",
    prepare,
    loss,
    heads=("value", "q1", "q2"),
    targets=("q1", "q2"),
    follow=lambda config: (config.ilql.target_rate, config.ilql.target_every),
    learns_from="answers",
    decoding=lambda config: config.ilql.beta,
)
