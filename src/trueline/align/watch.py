"""What to look at in every step."""

from __future__ import annotations

import torch

from trueline.align.advantages import masked_mean
from trueline.align.rollout import Rollout

ENDS, ALIKE = ("amin", "amax"), 1e-6


def watch(rollout: Rollout, *, on_policy: bool = True) -> dict[str, float]:
    """Numbers of a prepared rollout.

    kl: mean over answers of sum(log pi - log ref), nats; log_ratio: the same of given answers, which is no KL, since
    they were not sampled; length: tokens; advantage_spread: standard deviation; alike_prompts: the share of prompts all
    of whose answers have the same score, from which a comparison within the prompt learns nothing (Yu et al. 2025,
    DAPO, arXiv 2503.14476);
    explained_variance: of the returns by the critic, 1 at best, 0 for a constant.
    """
    mask = rollout.mask
    found = {
        "kl" if on_policy else "log_ratio": torch.where(mask, rollout.logprobs - rollout.ref_logprobs, 0.0)
        .sum(-1)
        .double()
        .mean()
        .item(),
        "length": mask.sum(-1).double().mean().item(),
    }
    if rollout.advantages is not None:
        found["advantage_spread"] = rollout.advantages[mask].double().std().item()
    prompts, which = rollout.group.unique(return_inverse=True)
    if len(prompts) < len(which):
        scores = rollout.scores.double()
        ends = [scores.new_zeros(len(prompts)).scatter_reduce(0, which, scores, e, include_self=False) for e in ENDS]
        found["alike_prompts"] = (ends[1] - ends[0] < ALIKE).double().mean().item()
    if rollout.values is not None and rollout.returns is not None:
        error = rollout.returns - rollout.values
        spread = masked_mean((rollout.returns - masked_mean(rollout.returns, mask)) ** 2, mask)
        residual = masked_mean((error - masked_mean(error, mask)) ** 2, mask)
        found["explained_variance"] = float(1 - residual / spread.clamp(min=1e-8))
    return found
