"""Learning from answers of a policy that is one step older than the one that is updated.

Hilton et al. 2021, "Batch size-invariance for policy optimization" (decoupled PPO; AReaL 2025 uses it for language
models): trust is measured from the policy before the update, pi, and what mu sampled is weighed by
    w_t = min(pi(y_t) / mu(y_t), most)
a token; the cut keeps the variance low (truncated importance sampling).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from trueline.align.algorithms import ALGORITHMS
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig
from trueline.errors import InputError

ABLE = ("rloo", "reinforce", "grpo", "ppo")


def corrected(rollout: Rollout, most: float) -> tuple[Rollout, dict[str, float]]:
    """A prepared rollout with its advantages weighed, and how stale it was.

    stale_kl: mean over answers of sum(log mu - log pi), nats; stale_cut: share of the tokens whose weight was cut.
    """
    if rollout.sampled_logprobs is None or rollout.advantages is None:
        return rollout, {}
    difference = torch.where(rollout.mask, rollout.logprobs - rollout.sampled_logprobs, 0.0)
    weight = difference.exp()
    metrics = {
        "stale_kl": -difference.sum(-1).double().mean().item(),
        "stale_cut": (weight > most)[rollout.mask].double().mean().item(),
    }
    return replace(rollout, advantages=rollout.advantages * weight.clamp(max=most)), metrics


def require_able(config: AlignConfig) -> None:
    """InputError where answers are to be sampled ahead for an algorithm that does not learn from weighed advantages."""
    if config.engine == "ray" and config.ray.ahead and config.algorithm not in ABLE:
        does = "samples no answers" if not ALGORITHMS[config.algorithm].on_policy else "learns from no advantages"
        raise InputError(
            f"align.ray.ahead: {config.algorithm} {does}, so that an older policy's cannot be weighed; set it to "
            f"false, or align.algorithm to one of {', '.join(ABLE)}"
        )
