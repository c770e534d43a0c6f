"""What to look at in every step, and what is a sign of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from trueline.align.advantages import masked_mean
from trueline.align.rollout import Rollout

RATIO_TOLERANCE = 1e-3
LOGPROB_TOLERANCE = 0.01


def watch(rollout: Rollout) -> dict[str, float]:
    """Numbers of a prepared rollout.

    kl: mean over answers of sum(log pi - log ref), nats; length: tokens; advantage_spread: standard deviation;
    explained_variance: of the returns by the critic, 1 at best, 0 for a constant.
    """
    mask = rollout.mask
    found = {
        "kl": torch.where(mask, rollout.logprobs - rollout.ref_logprobs, 0.0).sum(-1).double().mean().item(),
        "length": mask.sum(-1).double().mean().item(),
    }
    if rollout.advantages is not None:
        found["advantage_spread"] = rollout.advantages[mask].double().std().item()
    if rollout.values is not None and rollout.returns is not None:
        error = rollout.returns - rollout.values
        spread = masked_mean((rollout.returns - masked_mean(rollout.returns, mask)) ** 2, mask)
        residual = masked_mean((error - masked_mean(error, mask)) ** 2, mask)
        found["explained_variance"] = float(1 - residual / spread.clamp(min=1e-8))
    return found


def warnings_of(row: Mapping[str, Any]) -> list[str]:
    """What a person should know about a step, with the cause and the remedy."""
    found = []
    if row["ratio_gap"] > RATIO_TOLERANCE and row["logprob_gap"] > LOGPROB_TOLERANCE:
        found.append(
            f"sampling and training disagree on probabilities by {row['logprob_gap']:.3f} on average: "
            "the padding, the temperature or the precision differs between them"
        )
    if row["kl"] < -0.5:
        found.append(f"the KL to the reference is negative ({row['kl']:.2f} nats): a mask or the reference is wrong")
    if row.get("entropy", 1.0) < 0.05:
        found.append("the policy hardly varies its answers any more: raise align.kl.coefficient or lower the rate")
    return found
