"""From answers to a rollout: what policy, reference and heads say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from trueline.align.actor import Actor
from trueline.align.answers import Answers
from trueline.align.crew import Crew
from trueline.align.rollout import Rollout
from trueline.align.shares import blank, deal, micro_batches, passes
from trueline.config import AlignConfig
from trueline.policy.load import Policy
from trueline.policy.randomness import generator
from trueline.policy.sampler import Key
from trueline.policy.scoring import Batch, score

Item = TypeVar("Item")


def step_items(items: Sequence[Item], step: int, n: int, key: Key) -> list[Item]:
    """The n items of a step: each pass over all has its own keyed order, and a step may span two passes."""

    def endless() -> Iterator[Item]:
        epoch = step * n // len(items)
        skip = step * n % len(items)
        while True:
            order = generator(*key, epoch).permutation(len(items))
            yield from (items[i] for i in order[skip:])
            epoch, skip = epoch + 1, 0

    source = endless()
    return [next(source) for _ in range(n)]


def measure(
    crew: Crew, answers: Answers, rewards: np.ndarray, config: AlignConfig, temperature: float, kl_coef: float
) -> Rollout:
    """The rollout of some answers: what policy, reference and heads say of them now.

    Answers without log-probabilities were not sampled here, and get those of the policy as it is; so do those of a
    crew that samples ahead, which keep the older policy's beside them.
    """
    policy = crew.actor.policy
    batch = answers.batch(policy.pad_id).to(policy.device)
    own = len(crew.actor.heads) > 0 or not answers.logprobs or crew.ahead
    shares = deal(batch, crew.size, everyone=crew.in_step)
    least = passes(shares, config.micro_batch) if crew.in_step else 0
    parts = crew.map(_measured, [(batch.rows(rows), config.micro_batch, temperature, own, least) for rows in shares])
    rows = torch.cat(shares)
    found = {name: torch.cat([part[name] for part in parts if part])[rows.argsort()] for name in parts[0]}
    if answers.logprobs:
        sampled = torch.zeros(batch.mask.shape)
        for i, row in enumerate(answers.logprobs):
            sampled[i, : len(row)] = torch.tensor(row)
        found["sampled_logprobs" if crew.ahead else "logprobs"] = sampled.to(policy.device)
    return Rollout(
        batch=batch,
        group=torch.tensor(answers.groups, device=policy.device),
        scores=torch.from_numpy(rewards).float().to(policy.device),
        kl_coef=kl_coef,
        tokens=int(batch.mask.sum()),
        answers=len(answers.groups),
        **found,
    )


@torch.no_grad()
def _measured(
    actor: Actor, reference: Policy, batch: Batch, micro_batch: int, temperature: float, own: bool, least: int
) -> dict[str, Tensor]:
    """(B, T) of each: ref_logprobs and, with `own`, what the actor says; 0 in columns that were not computed. Nothing
    for no rows, whatever the number of passes, `least` at least."""
    found: dict[str, Tensor] = {}
    for rows in micro_batches(batch, micro_batch, least):
        part, width = batch.rows(rows).trimmed() if len(rows) else (blank(batch.mask.device), 0)
        seen: dict[str, Tensor | None] = {"ref_logprobs": score(reference.model, part, temperature).logprobs}
        if own:
            outputs = actor(part, temperature)[0]
            seen |= {name: getattr(outputs, name) for name in ("logprobs", "values", "target_values")}
        for name, value in seen.items():
            if value is not None and len(rows):
                found.setdefault(name, value.new_zeros(batch.mask.shape))[rows, :width] = value
    return found
