"""Answers of a policy to prompts, as text and as tokens, and how far it is from another one by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from trueline.align.actor import Actor
from trueline.align.answered import Answers as Answers
from trueline.align.episodes import play_episodes
from trueline.align.shares import cut
from trueline.config import PolicyConfig
from trueline.policy.chat import decode_answer, encode_prompt
from trueline.policy.load import Policy
from trueline.policy.sampler import Key, sample
from trueline.policy.scoring import score
from trueline.records import Exchange, Prompt
from trueline.scenarios.environments import is_played

AT_ONCE = 64


def answer(policy: Policy, prompts: Sequence[Prompt], config: PolicyConfig, k: int, source: str, key: Key) -> Answers:
    """Sample k answers a prompt; the noise is keyed by (key, prompt, sample), and of an episode by the turn too."""
    if not any(map(is_played, prompts)):
        return _answer_once(policy, prompts, config, k, source, key)
    return Answers.joined(
        [
            (play_episodes if played else _answer_once)(policy, list(part), config, k, source, key)
            for played, part in groupby(prompts, is_played)
        ]
    )


def _answer_once(
    policy: Policy, prompts: Sequence[Prompt], config: PolicyConfig, k: int, source: str, key: Key
) -> Answers:
    """Answers of one turn."""
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
        index = range(len(answers.groups))[i : i + AT_ONCE]
        batch = answers.picked(index, index).batch(policy.pad_id).to(policy.device)
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
