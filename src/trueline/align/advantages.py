"""How much better than expected: pure functions from rewards to advantages.

Letters: B answers, T tokens. `mask` (B, T) is True on an answer's own tokens, which stand at the left.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over the True places; 0 where there are none."""
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp(min=1)


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the True places of the whole batch; 0 elsewhere. (B, T) to (B, T)."""
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean) ** 2, mask)
    return torch.where(mask, (x - mean) * torch.rsqrt(variance + 1e-8), 0.0)


def leave_one_out(rewards: Tensor, group: Tensor) -> Tensor:
    """RLOO: an answer's reward less the mean of the other answers to its prompt. (B,), (B,) to (B,).

    Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free"; Ahmadian et al. 2024. 0 for a lone answer.
    """
    same = (group[:, None] == group[None, :]).to(rewards.dtype)
    others = same.sum(1) - 1
    total = same @ rewards - rewards
    return torch.where(others > 0, rewards - total / others.clamp(min=1), 0.0)


def group_normalised(rewards: Tensor, group: Tensor, *, divide: bool = True) -> Tensor:
    """GRPO: reward less the mean of the group, divided by its population deviation. (B,), (B,) to (B,).

    Shao et al. 2024. 0 where all answers to a prompt are worth the same.
    """
    same = (group[:, None] == group[None, :]).to(rewards.dtype)
    centred = rewards - same @ rewards / same.sum(1)
    if not divide:
        return centred
    deviation = (same @ centred**2 / same.sum(1)).sqrt()
    return torch.where(deviation > 1e-6, centred / deviation.clamp(min=1e-6), 0.0)


def token_rewards(scores: Tensor, logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """(B, T): each token carries -kl_coef * (log pi - log ref), the k1 estimator; the last one also the score.

    Stiennon et al. 2020; Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO".
    """
    rewards = torch.where(mask, -kl_coef * (logprobs - ref_logprobs), 0.0)
    last = mask.sum(-1, keepdim=True) - 1
    return rewards.scatter_add(1, last.clamp(min=0), torch.where(last >= 0, scores.unsqueeze(-1), 0.0))


def generalised_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """GAE (Schulman et al. 2016): advantages and returns, both (B, T), 0 outside the mask.

    delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lam A_{t+1}; the value behind the last token is 0.
    """
    values = torch.where(mask, values, 0.0)
    rewards = torch.where(mask, rewards, 0.0)
    advantage = torch.zeros_like(values[:, 0])
    columns = []
    for t in reversed(range(values.shape[1])):
        following = values[:, t + 1] if t + 1 < values.shape[1] else torch.zeros_like(advantage)
        advantage = rewards[:, t] + gamma * following - values[:, t] + gamma * lam * advantage
        columns.append(advantage)
    advantages = torch.where(mask, torch.stack(columns[::-1], dim=1), 0.0)
    return advantages, torch.where(mask, advantages + values, 0.0)
