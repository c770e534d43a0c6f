"""Learning from given answers: the rollout of labelled ones, and answers that are sampled only to be watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trueline.align.actor import Actor
from trueline.align.answers import Answers, answer, sequence_kl
from trueline.align.crew import Crew
from trueline.align.episodes import retold
from trueline.align.experience import measure
from trueline.align.judgement import Judge, Judgement, judged
from trueline.align.rollout import Rollout
from trueline.config import AlignConfig, PolicyConfig
from trueline.policy.chat import encode_answer, encode_prompt
from trueline.policy.load import Policy
from trueline.policy.sampler import Key
from trueline.records import Exchange, Prompt
from trueline.scenarios.environments import is_played


@dataclass(frozen=True)
class Labelled:
    """An answer and its reward."""

    exchange: Exchange
    reward: float


Unit = tuple[Labelled, ...]
"""What is drawn together: one answer, or the better (reward 1) and the worse (reward 0) of a pair."""


def standardised(units: Sequence[Unit]) -> list[Unit]:
    """Rewards with mean 0 and deviation 1 over all answers, as trlX does before ILQL; equal ones become 0."""
    if not units:
        return []
    rewards = np.array([x.reward for unit in units for x in unit])
    mean, spread = float(rewards.mean()), float(rewards.std())
    spread = spread if spread > 1e-9 else 1.0
    return [tuple(replace(x, reward=(x.reward - mean) / spread) for x in unit) for unit in units]


def given(
    crew: Crew,
    units: Sequence[Unit],
    config: AlignConfig,
    policy_config: PolicyConfig,
    kl_coef: float,
) -> tuple[Rollout, Judgement]:
    """One step's rollout of labelled answers; answers longer than max_new_tokens are cut."""
    policy, limit = crew.actor.policy, policy_config.max_new_tokens
    flat = [(i, x) for i, unit in enumerate(units) for x in unit]
    told = [_tokens(policy, x.exchange) for _, x in flat]
    played = any(is_played(x.exchange.prompt) for _, x in flat)
    answers = Answers(
        [x.exchange for _, x in flat],
        [encode_prompt(policy, x.exchange.prompt, policy_config.max_prompt_tokens) for _, x in flat],
        [tokens[:limit] for tokens, _ in told],
        [],
        [i for i, _ in flat],
        [own[:limit] for _, own in told] if played else [],
    )
    rewards = np.array([x.reward for _, x in flat])
    rollout = measure(crew, answers, rewards, config, policy_config.temperature, kl_coef)
    return rollout, Judgement(rewards, {"data_reward": float(rewards.mean())})


def _tokens(policy: Policy, exchange: Exchange) -> tuple[list[int], list[bool]]:
    """An answer's tokens and which are the policy's own; one that was cut by a limit has no end token."""
    if is_played(exchange.prompt):
        return retold(policy, exchange)
    tokens = encode_answer(policy, exchange.completion.text)
    tokens = tokens[:-1] if exchange.completion.finish == "length" and len(tokens) > 1 else tokens
    return tokens, [True] * len(tokens)


def watched(
    crew: Crew, prompts: Sequence[Prompt], judge: Judge, config: PolicyConfig, beta: float | None, key: Key
) -> dict[str, float]:
    """Metrics of one sampled answer a prompt, with Q heads weighed by beta; nothing is learned from them."""
    answers, kl = crew.sample(_watched, [(prompts, config, beta, key)])[0]
    return {**judged(judge, answers.exchanges).metrics, "kl": float(kl.mean())}


def _watched(
    actor: Actor, reference: Policy, prompts: Sequence[Prompt], config: PolicyConfig, beta: float | None, key: Key
) -> tuple[Answers, np.ndarray]:
    policy = actor.drawing(beta)
    answers = answer(policy, prompts, config, 1, "policy:watched", key)
    return answers, sequence_kl(policy, reference, answers, config.temperature)
