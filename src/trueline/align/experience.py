"""From prompts to a rollout: sample, score the text, and ask policy and reference for their log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trueline.align.actor import Actor
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig, PolicyConfig
from trueline.policy.chat import decode_answer, encode_prompt
from trueline.policy.load import Policy
from trueline.policy.sampler import Key, sample
from trueline.policy.scoring import make_batch, score
from trueline.records import Exchange, Prompt


@dataclass(frozen=True)
class Judgement:
    """The objective's reward of each answer, (n,) float64, and what is worth watching, by name."""

    rewards: np.ndarray
    metrics: dict[str, float]


Judge = Callable[[Sequence[Exchange]], Judgement]


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


def answer(policy: Policy, prompts: Sequence[Prompt], config: PolicyConfig, k: int, source: str, key: Key) -> Answers:
    """Sample k answers a prompt; the noise is keyed by (key, prompt, sample)."""
    encoded = [encode_prompt(policy, p, config.max_prompt_tokens) for p in prompts]
    sampled = sample(
        policy,
        encoded,
        [[(*key, p.id, i) for i in range(k)] for p in prompts],
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
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


def collect(
    actor: Actor,
    reference: Policy,
    prompts: Sequence[Prompt],
    judge: Judge,
    config: AlignConfig,
    policy_config: PolicyConfig,
    kl_coef: float,
    key: Key,
) -> tuple[Rollout, Judgement]:
    """One step's rollout of len(prompts) * samples_per_prompt answers."""
    answers = answer(actor.policy, prompts, policy_config, config.samples_per_prompt, "policy:training", key)
    judgement = judge(answers.exchanges)
    batch = make_batch(answers.prompt_tokens, answers.answer_tokens, actor.policy.pad_id).to(actor.policy.device)
    with torch.no_grad():
        parts = torch.arange(len(answers.groups), device=actor.policy.device).split(config.micro_batch)
        reference_logprobs = [score(reference.model, batch.rows(i), policy_config.temperature).logprobs for i in parts]
        values = (
            [actor(batch.rows(i), policy_config.temperature)[0].values for i in parts] if actor.value_head else None
        )
    logprobs = torch.zeros(batch.mask.shape)
    for i, row in enumerate(answers.logprobs):
        logprobs[i, : len(row)] = torch.tensor(row)
    rollout = Rollout(
        batch=batch,
        group=torch.tensor(answers.groups, device=batch.mask.device),
        logprobs=logprobs.to(batch.mask.device),
        ref_logprobs=torch.cat(reference_logprobs),
        scores=torch.from_numpy(judgement.rewards).float().to(batch.mask.device),
        kl_coef=kl_coef,
        tokens=int(batch.mask.sum()),
        answers=len(answers.groups),
        values=torch.cat([v for v in values if v is not None]) if values else None,
    )
    return rollout, judgement
