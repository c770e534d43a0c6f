"""Answers as they came: text, tokens, and which of the tokens are the policy's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trueline.policy.scoring import Batch, make_batch
from trueline.records import Exchange


@dataclass(frozen=True)
class Answers:
    """k answers to each prompt, flat, in the prompts' order: text and tokens.

    own: which of an answer's tokens are the policy's, where others speak between its turns; empty where all are.
    logprobs: of the policy's own tokens; empty where they are not known.
    """

    exchanges: list[Exchange]
    prompt_tokens: list[list[int]]
    answer_tokens: list[list[int]]
    logprobs: list[list[float]]
    groups: list[int]
    own: list[list[bool]] = field(default_factory=list)

    @property
    def lengths(self) -> list[int]:
        """The policy's own tokens of each answer."""
        return [sum(row) for row in self.own] if self.own else [len(row) for row in self.answer_tokens]

    def batch(self, pad_id: int) -> Batch:
        return make_batch(self.prompt_tokens, self.answer_tokens, pad_id, self.own)

    def picked(self, index: Sequence[int], groups: Sequence[int]) -> Answers:
        """Some of them, with other groups."""
        return Answers(
            [self.exchanges[i] for i in index],
            [self.prompt_tokens[i] for i in index],
            [self.answer_tokens[i] for i in index],
            [self.logprobs[i] for i in index if self.logprobs],
            list(groups),
            [self.own[i] for i in index if self.own],
        )

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
            [row for p in parts for row in p._all_own()] if any(p.own for p in parts) else [],
        )

    def _all_own(self) -> list[list[bool]]:
        return self.own or [[True] * len(row) for row in self.answer_tokens]
