"""From prompts to a rollout: sample, score the text, and ask policy and reference for their log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from trueline.align.actor import Actor
from trueline.align.crew import Crew, cut
from trueline.align.judgement import Judge, Judgement, judged
from trueline.align.rollout import Rollout
from trueline.align.shares import deal, micro_batches
from trueline.config import AlignConfig, PolicyConfig
from trueline.policy.chat import decode_answer, encode_prompt
from trueline.policy.load import Policy
from trueline.policy.randomness import generator
from trueline.policy.sampler import Key, sample
from trueline.policy.scoring import Batch, make_batch, score
from trueline.records import Exchange, Prompt

AT_ONCE = 64
Item = TypeVar("Item")


@dataclass(frozen=True)
class Answers:
    """k answers to each prompt, flat, in the prompts' order: text and tokens."""

    exchanges: list[Exchange]
    prompt_tokens: list[list[int]]
    answer_tokens: list[list[int]]
    logprobs: list[list[float]]
    groups: list[int]

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """The answers to several lists of prompts as those to one."""
        groups: list[int] = []
        for part in parts:
            groups += [g + (groups[-1] + 1 if groups else 0) for g in part.groups] if part.groups else []
        return cls(
            [e for p in parts for e in p.exchanges],
            [t for p in parts for t in p.prompt_tokens],
            [t for p in parts for t in p.answer_tokens],
            [v for p in parts for v in p.logprobs],
            groups,
        )


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


def answer(policy: Policy, prompts: Sequence[Prompt], config: PolicyConfig, k: int, source: str, key: Key) -> Answers:
    """Sample k answers a prompt; the noise is keyed by (key, prompt, sample)."""
    encoded = [encode_prompt(policy, p, config.max_prompt_tokens) for p in prompts]
    sampled = sample(
        policy,
        encoded,
        [[(*key, p.id, i) for i in range(k)] for p in prompts],
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        shape=policy.shape,
    )
    flat = [(g, s) for g, row in enumerate(sampled) for s in row]
    return Answers(
        [
            Exchange.of(prompts[g], decode_answer(policy, s.tokens), source, "stop" if s.finished else "length")
            for g, s in flat
        ],
        [encoded[g] for g, _ in flat],
        [s.tokens for _, s in flat],
        [s.logprobs for _, s in flat],
        [g for g, _ in flat],
    )


@torch.no_grad()
def sequence_kl(policy: Policy, reference: Policy, answers: Answers, temperature: float) -> np.ndarray:
    """(n,) sums of log pi - log ref over each answer's tokens, nats; their mean estimates the true KL, since `policy`
    sampled the answers. log pi is what was captured then, which knows of Q heads.
    """
    other = []
    for i in range(0, len(answers.groups), AT_ONCE):
        part = slice(i, i + AT_ONCE)
        batch = make_batch(answers.prompt_tokens[part], answers.answer_tokens[part], policy.pad_id).to(policy.device)
        found = torch.where(batch.mask, score(reference.model, batch, temperature).logprobs, 0.0)
        other.append(found.sum(-1).double().cpu().numpy())
    return np.array([sum(row) for row in answers.logprobs]) - np.concatenate(other)


def collect(
    crew: Crew,
    prompts: Sequence[Prompt],
    judge: Judge,
    config: AlignConfig,
    policy_config: PolicyConfig,
    kl_coef: float,
    key: Key,
) -> tuple[Rollout, Judgement]:
    """One step's rollout of len(prompts) * samples_per_prompt answers."""
    shares = [
        (prompts[part], policy_config, config.samples_per_prompt, "policy:training", key)
        for part in cut(len(prompts), crew.size)
    ]
    answers = Answers.joined(crew.map(_answer, shares))
    judgement = judged(judge, answers.exchanges)
    return measure(crew, answers, judgement.rewards, config, policy_config.temperature, kl_coef), judgement


def _answer(actor: Actor, reference: Policy, *share: Any) -> Answers:
    return answer(actor.policy, *share)


def measure(
    crew: Crew, answers: Answers, rewards: np.ndarray, config: AlignConfig, temperature: float, kl_coef: float
) -> Rollout:
    """The rollout of some answers: what policy, reference and heads say of them now.

    Answers without log-probabilities were not sampled here, and get those of the policy as it is.
    """
    policy = crew.actor.policy
    batch = make_batch(answers.prompt_tokens, answers.answer_tokens, policy.pad_id).to(policy.device)
    own = len(crew.actor.heads) > 0 or not answers.logprobs
    shares = deal(batch, crew.size)
    parts = crew.map(_measured, [(batch.rows(rows), config.micro_batch, temperature, own) for rows in shares])
    rows = torch.cat(shares)
    found = {name: torch.cat([part[name] for part in parts])[rows.argsort()] for name in parts[0]}
    if answers.logprobs:
        sampled = torch.zeros(batch.mask.shape)
        for i, row in enumerate(answers.logprobs):
            sampled[i, : len(row)] = torch.tensor(row)
        found["logprobs"] = sampled.to(policy.device)
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
    actor: Actor, reference: Policy, batch: Batch, micro_batch: int, temperature: float, own: bool
) -> dict[str, Tensor]:
    """(B, T) of each: ref_logprobs and, with `own`, what the actor says; 0 in columns that were not computed."""
    found: dict[str, Tensor] = {}
    for rows in micro_batches(batch, micro_batch):
        part, width = batch.rows(rows).trimmed()
        seen: dict[str, Tensor | None] = {"ref_logprobs": score(reference.model, part, temperature).logprobs}
        if own:
            outputs = actor(part, temperature)[0]
            seen |= {name: getattr(outputs, name) for name in ("logprobs", "values", "target_values")}
        for name, value in seen.items():
            if value is not None:
                found.setdefault(name, value.new_zeros(batch.mask.shape))[rows, :width] = value
    return found
