"""Places for answers that come and go: what the batch asks of a model, and how any causal language model does it.

Letters: R rows that are drawn from, H hidden size, V vocabulary. `llama_slots.py` has the fast one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from trueline.policy.decoder import AnyDecoder, Next
from trueline.policy.load import Policy

UNBOUNDED = 4096  # tokens of prompt and answer where a model, such as Mamba, names no limit


@dataclass(frozen=True)
class Part:
    """Tokens of a prompt that a row reads in a step, from position `start`; last: the prompt ends with them."""

    row: int
    ids: Sequence[int]
    start: int
    last: bool


class Slots(Protocol):
    """Rows 0 to R - 1 draw, those behind them still read. cuts: whether a prompt may be read in several steps.

    step: the last token of each drawing row, and what is read beside it, in the order of rows; gives the next token's
    logits and hidden states, (R, V) and (R, H), of the drawing rows and then of those whose prompt has ended.
    copy: the first `n` positions of a row become those of another. move: a row takes another's place.
    """

    cuts: bool

    def step(self, tokens: Sequence[int], parts: Sequence[Part]) -> Next: ...
    def copy(self, source: int, target: int, n: int) -> None: ...
    def move(self, source: int, target: int) -> None: ...


def limit(policy: Policy) -> int:
    """The most tokens that prompt and answer may have together."""
    return int(getattr(policy.model.config.get_text_config(), "max_position_embeddings", None) or UNBOUNDED)


class AnySlots:
    """By the model's own forward pass, row after row: caches of any kind cannot be laid side by side."""

    cuts = False

    def __init__(self, policy: Policy, rows: int) -> None:
        self.policy = policy
        self.decoders: list[AnyDecoder | None] = [None] * rows

    def step(self, tokens: Sequence[int], parts: Sequence[Part]) -> Next:
        found = []
        for row, token in enumerate(tokens):
            decoder = self.decoders[row]
            assert decoder is not None
            found.append(decoder.step(torch.tensor([token], device=self.policy.device)))
        for part in parts:
            decoder = AnyDecoder.start(self.policy, [part.ids], 1, 0, self.policy.shape is not None)
            self.decoders[part.row] = decoder
            found.append(decoder.first)
        hidden = [h for _, h in found if h is not None]
        return torch.cat([logits for logits, _ in found]), torch.cat(hidden) if hidden else None

    def copy(self, source: int, target: int, n: int) -> None:
        """Nothing is copied: a prompt that is not cut is read whole."""

    def move(self, source: int, target: int) -> None:
        self.decoders[target], self.decoders[source] = self.decoders[source], None
