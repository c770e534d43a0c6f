"""Answers of a policy to prompts, as text and as tokens, and how far it is from another one by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from trueline.align.actor import Actor
from trueline.align.shares import cut
from trueline.config import PolicyConfig
from trueline.policy.chat import decode_answer, encode_prompt
from trueline.policy.load import Policy
from trueline.policy.sampler import Key, sample
from trueline.policy.scoring import make_batch, score
from trueline.records import Exchange, Prompt

AT_ONCE = 64


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


@dataclass(frozen=True)
class Request:
    """What is asked of a policy that is being trained: k answers to each prompt, with noise keyed by `key`."""

    prompts: Sequence[Prompt]
    config: PolicyConfig
    k: int
    key: Key

    def cut(self, parts: int) -> list[Request]:
        """The same in up to `parts` requests for neighbouring prompts."""
        return [replace(self, prompts=self.prompts[part]) for part in cut(len(self.prompts), parts)]


def draw(actor: Actor, reference: Policy, request: Request) -> Answers:
    """The actor's answers to a request."""
    return answer(actor.policy, request.prompts, request.config, request.k, "policy:training", request.key)
