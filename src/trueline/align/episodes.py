"""Answers of several turns: a policy's words, and what its environment says to each of them.

An episode is one answer, whose tokens are the policy's and the environment's in turn; only the policy's count.
"""

from __future__ import annotations

from collections.abc import Sequence

from trueline.align.answered import Answers
from trueline.config import PolicyConfig
from trueline.policy.chat import decode_answer, encode_answer, encode_prompt, encode_turn
from trueline.policy.load import Policy
from trueline.policy.playing import Played, play
from trueline.policy.sampler import Key
from trueline.records import Exchange, Message, Prompt
from trueline.scenarios.environments import environment_of
from trueline.scenarios.transcript import read_transcript, write_transcript


def play_episodes(
    policy: Policy, prompts: Sequence[Prompt], config: PolicyConfig, k: int, source: str, key: Key
) -> Answers:
    """k episodes a prompt, of at most max_new_tokens each, the environment's counted in; the noise is keyed by (key,
    prompt, sample, turn). An answer's text is the transcript.
    """
    encoded = [encode_prompt(policy, p, config.max_prompt_tokens) for p in prompts]
    desks = [environment_of(p) for p in prompts for _ in range(k)]
    turns: list[list[Message]] = [[] for _ in desks]

    def follow(row: int, ids: list[int]) -> list[int] | None:
        said = decode_answer(policy, ids)
        told = desks[row].step(said)
        turns[row] += [Message("assistant", said), *([told] if told else [])]
        return None if told is None else encode_turn(policy, told)

    played = play(
        policy,
        encoded,
        [[(*key, p.id, i) for i in range(k)] for p in prompts],
        follow,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        shape=policy.shape,
    )
    groups = [g for g in range(len(prompts)) for _ in range(k)]
    return Answers(
        [_exchange(policy, prompts[g], t, x, source) for g, t, x in zip(groups, turns, played, strict=True)],
        [encoded[g] for g in groups],
        [x.tokens for x in played],
        [x.logprobs for x in played],
        groups,
        [x.own for x in played],
    )


def _exchange(policy: Policy, prompt: Prompt, turns: list[Message], played: Played, source: str) -> Exchange:
    """A turn that the limit has cut stands in the transcript; nobody has heard it."""
    if not played.finished and played.tokens[-1] not in policy.end_ids:
        turns = [*turns, Message("assistant", decode_answer(policy, played.turn))]
    return Exchange.of(prompt, write_transcript(turns), source, "stop" if played.finished else "length")


def retold(policy: Policy, exchange: Exchange) -> tuple[list[int], list[bool]]:
    """The tokens of a given episode, and which are the policy's own, from its transcript."""
    tokens, own = list[int](), list[bool]()
    turns = read_transcript(exchange.completion.text)
    last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    for i, turn in enumerate(turns[: last + 1]):
        mine = turn.role == "assistant"
        ids = encode_answer(policy, turn.content) if mine else encode_turn(policy, turn)
        if i == len(turns) - 1 and exchange.completion.finish == "length" and len(ids) > 1:
            ids = ids[:-1]
        tokens, own = tokens + ids, own + [mine] * len(ids)
    return tokens, own
