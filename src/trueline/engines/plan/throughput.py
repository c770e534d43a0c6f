"""Seconds of a step, phase by phase.

Sampling goes through new_tokens steps; in each, a device reads its weights once and the keys and values of all its
answers, so that memory sets the pace until the batch is large enough for arithmetic to: the slower of the two counts
(the roofline of Williams et al. 2009). A prompt is read once for all its samples. Learning is arithmetic: 2 flop a
weight and token forward, 4 backward, 2 more to compute layers again, and 4 a layer, token attended to and query width
forward (Kaplan et al. 2020, arXiv 2001.08361, table 1; Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B).
With LoRA, weights have no gradient: 2 instead of 4 backward.

Not counted: the reward model, traffic between machines beyond what mfu includes, answers that end early.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trueline.engines.plan.job import Job
from trueline.engines.plan.memory import token_cache


@dataclass(frozen=True)
class Seconds:
    """Seconds of one step. scoring: log-probabilities by reference and, where needed, policy."""

    sampling: float
    scoring: float
    update: float

    @property
    def step(self) -> float:
        return self.sampling + self.scoring + self.update


def seconds(job: Job) -> Seconds:
    """A step of a job, all devices at work on their share of its answers."""
    arithmetic = job.device.flops * job.device.mfu
    predicted = job.share * job.new_tokens
    layers = forward(job, job.share * job.length, job.length / 2, 0)
    once = layers + 2 * predicted * (job.model.head_weights + job.model.extra_weights(job.needs.heads))
    passes = 1 + (len(job.needs.heads) > 0 or not job.needs.samples)
    learning = once * (2 if job.lora else 3) + (layers if job.recompute else 0)
    slow = 2 * predicted * job.model.extra_weights(job.needs.slow)
    return Seconds(
        sampling=_sampling(job) if job.needs.samples else 0.0,
        scoring=passes * once / arithmetic,
        update=job.needs.epochs * (learning + slow) / arithmetic,
    )


def forward(job: Job, tokens: float, attended: float, predicted: float) -> float:
    """Flop of a forward pass over some tokens that attend to so many each; `predicted` go through the vocabulary."""
    model = job.model
    attention = 4 * model.layers * model.query * attended
    return tokens * (2 * model.layers * model.layer_weights + attention) + 2 * model.head_weights * predicted


def _sampling(job: Job) -> float:
    model, device = job.model, job.device
    batch = job.share * job.group
    prompts = math.ceil(batch / job.samples)
    reading = forward(job, prompts * job.prompt_tokens, job.prompt_tokens / 2, prompts) / job.group
    attended = job.prompt_tokens + job.new_tokens / 2
    moved = (model.layers * model.layer_weights + model.head_weights) * job.width + batch * attended * token_cache(job)
    flop = forward(job, batch, attended, batch)
    token = max(moved / (device.bandwidth * device.reach), flop / (device.flops * device.mfu)) / job.group
    return reading / (device.flops * device.mfu) + job.new_tokens * token
