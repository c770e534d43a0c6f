"""One update: passes of minibatches over a prepared rollout, each an optimiser step."""

from __future__ import annotations

from collections import defaultdict

import torch

from trueline.align.actor import Actor
from trueline.align.advantages import masked_mean
from trueline.align.algorithms import ALGORITHMS, Algorithm
from trueline.align.crew import Crew
from trueline.align.parts import clip_gradients
from trueline.align.rollout import Rollout
from trueline.align.shares import blank, deal, micro_batches, passes
from trueline.config import AlignConfig
from trueline.errors import RunError
from trueline.policy.load import Policy
from trueline.policy.randomness import generator
from trueline.policy.sampler import Key


def update(
    crew: Crew,
    optimiser: torch.optim.Optimizer,
    algorithm: Algorithm,
    rollout: Rollout,
    config: AlignConfig,
    temperature: float,
    key: Key,
    *,
    critic_only: bool = False,
) -> dict[str, float]:
    """Update the crew's actor in place; returns the mean of each metric over the optimiser steps, and the gaps of the
    first, where sampling and training must agree.

    critic_only trains the heads alone (critic before actor).
    """
    epochs, minibatches = algorithm.passes(config)
    collected: dict[str, list[float]] = defaultdict(list)
    first: dict[str, float] = {}
    for epoch in range(epochs):
        order = torch.from_numpy(generator(*key, "shuffle", epoch).permutation(rollout.answers))
        for chunk in order.chunk(minibatches):
            part = rollout.rows(chunk.to(rollout.mask.device)).as_whole()
            metrics, gaps = _step(crew, optimiser, algorithm, part, config, temperature, critic_only)
            first = first or gaps
            for name, value in metrics.items():
                collected[name].append(value)
    return {**{name: sum(values) / len(values) for name, values in collected.items()}, **first}


def _step(
    crew: Crew,
    optimiser: torch.optim.Optimizer,
    algorithm: Algorithm,
    part: Rollout,
    config: AlignConfig,
    temperature: float,
    critic_only: bool,
) -> tuple[dict[str, float], dict[str, float]]:
    """One optimiser step; the losses of all shares add up, being divided by the whole batch's counts."""
    optimiser.zero_grad(set_to_none=True)
    shares = deal(part.batch, crew.size, everyone=crew.in_step)
    least = passes(shares, config.micro_batch) if crew.in_step else 0
    found = crew.map(_gradient, [(algorithm.name, part.rows(rows), config, temperature, least) for rows in shares])
    crew.gather_gradients(len(shares))
    metrics = {name: sum(m[name] for m, _ in found if m) for name in found[0][0]}
    gaps = {
        "ratio_gap": max(g["ratio_gap"] for _, g in found),
        "logprob_gap": sum(g["logprob_gap"] for _, g in found),
    }
    actor = crew.actor
    if critic_only:
        for _, parameter in actor.policy_parameters():
            parameter.grad = None
    norm = clip_gradients([p for _, p in actor.named_parameters()], config.max_grad_norm)
    if not torch.isfinite(norm):
        raise RunError("the gradient is not finite; lower align.learning_rate and go on with `trueline resume`")
    optimiser.step()
    return {**metrics, "grad_norm": norm.item()}, gaps


def _gradient(
    actor: Actor, reference: Policy, name: str, share: Rollout, config: AlignConfig, temperature: float, least: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Add the gradient of a share's loss to the actor's, micro-batch by micro-batch, `least` of them at least; returns
    metrics, none for an empty share, and gaps."""
    metrics: dict[str, float] = defaultdict(float)
    gaps = {"ratio_gap": 0.0, "logprob_gap": 0.0}
    for rows in micro_batches(share.batch, config.micro_batch, least):
        if not len(rows):
            (0.0 * actor(blank(actor.policy.device), temperature)[0].logprobs.sum()).backward()
            continue
        micro = share.rows(rows).trimmed()
        outputs, entropy = actor(micro.batch, temperature)
        loss, values = ALGORITHMS[name].loss(outputs, micro, config)
        loss.backward()
        values["entropy"] = masked_mean(entropy, micro.mask).item() * int(micro.mask.sum()) / share.tokens
        for key, value in values.items():
            metrics[key] += value
        difference = torch.where(micro.mask, outputs.logprobs.detach() - micro.logprobs, 0.0)
        gaps["ratio_gap"] = max(gaps["ratio_gap"], (difference.exp() - 1).abs().max().item())
        gap = torch.where(micro.mask, (outputs.logprobs.detach().exp() - micro.logprobs.exp()).abs(), 0.0)
        gaps["logprob_gap"] += gap.sum().item() / share.tokens
    return dict(metrics), gaps
