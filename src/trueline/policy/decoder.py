"""One token more for many answers at once: what the sampler asks of a model, for any causal language model.

Letters: B rows, P prompt tokens, H hidden size, V vocabulary. `Decoder.start` reads each prompt once and repeats its
cache for its k samples. `llama.py` has a faster one for the Llama family.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from trueline.policy.load import Policy

Next = tuple[Tensor, Tensor | None]


class Decoder(Protocol):
    """Reads prompts, then takes a token a row. `first` and `step` give the next token's logits (B, V) and, where asked
    for, the hidden state behind them (B, H); `keep` lets finished rows go; `room` is the most tokens to come.
    """

    first: Next

    @classmethod
    def start(cls, policy: Policy, prompts: Sequence[Sequence[int]], k: int, room: int, hidden: bool) -> Self: ...
    def step(self, token: Tensor) -> Next: ...
    def keep(self, rows: Tensor) -> None: ...


def left_pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """(B, P) ids and (B, P) bool mask, padded on the left."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = True
    return ids, mask


def position_ids(mask: Tensor) -> Tensor:
    """Positions count real tokens only, so that padding changes nothing. (B, P) long."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def read_prompts(policy: Policy, prompts: Sequence[Sequence[int]], hidden: bool) -> tuple[Any, Tensor]:
    """The model's output for the last token of each prompt, cache included, and the prompts' mask (B, P) bool."""
    ids, mask = (x.to(policy.device) for x in left_pad(prompts, policy.pad_id))
    out = policy.model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=position_ids(mask),
        use_cache=True,
        logits_to_keep=1,
        output_hidden_states=hidden,
    )
    return out, mask


class AnyDecoder:
    """By the model's own forward pass and cache."""

    def __init__(self, policy: Policy, out: Any, mask: Tensor, k: int, hidden: bool) -> None:
        self.model, self.hidden = policy.model, hidden
        # A model that is a state and nothing else, such as Mamba, has no columns to mask once the prompt is read.
        self.attends = hasattr(policy.model.config.get_text_config(), "num_attention_heads")
        self.cache: Any = out.cache
        # By reordering, which hybrid caches know as well; they can neither repeat nor select.
        self.cache.reorder_cache(torch.arange(len(mask), device=mask.device).repeat_interleave(k))
        self.mask = mask.repeat_interleave(k, 0)
        logits, behind = self._last(out)
        self.first: Next = (logits.repeat_interleave(k, 0), None if behind is None else behind.repeat_interleave(k, 0))

    @classmethod
    def start(cls, policy: Policy, prompts: Sequence[Sequence[int]], k: int, room: int, hidden: bool) -> AnyDecoder:
        out, mask = read_prompts(policy, prompts, hidden)
        return cls(policy, out, mask, k, hidden)

    def step(self, token: Tensor) -> Next:
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(token), 1)], dim=-1)
        out = self.model(
            input_ids=token.unsqueeze(-1),
            attention_mask=self.mask.long() if self.attends else None,
            position_ids=self.mask.long().sum(-1, keepdim=True) - 1,
            cache=self.cache,
            use_cache=True,
            output_hidden_states=self.hidden,
        )
        return self._last(out)

    def keep(self, rows: Tensor) -> None:
        self.cache.reorder_cache(rows)
        self.mask = self.mask[rows]

    def _last(self, out: Any) -> Next:
        return out.logits[:, -1], out.hidden_states[-1][:, -1] if self.hidden else None
