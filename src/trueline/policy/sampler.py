"""The decode loop: a prompt is read once for all its samples, finished answers leave the batch.

Letters: B rows, P prompt tokens, V vocabulary. Sampling uses the whole distribution at a temperature
(top-k 0, top-p 1), so that the captured log-probabilities are exactly those of the policy that is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from trueline.policy.load import Policy
from trueline.policy.randomness import uniforms

Key = tuple[int | str, ...]
COMPACT_SHARE = 0.25


@dataclass(frozen=True)
class Sample:
    """One answer: its tokens (the end token too), their log-probabilities, and whether it ended by itself."""

    tokens: list[int]
    logprobs: list[float]
    finished: bool


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


def draw(logits: Tensor, u: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Inverse-CDF draw from softmax(logits / temperature): (B, V) and (B,) in [0, 1) to (B,) ids and (B,) log-probs.

    One pass over the vocabulary, several times cheaper than torch.multinomial on a CPU, and keyed.
    """
    logprobs = torch.log_softmax(logits.float() / temperature, dim=-1)
    cdf = logprobs.double().exp().cumsum(-1)
    token = torch.searchsorted(cdf, (u * cdf[:, -1]).unsqueeze(-1), right=True).squeeze(-1)
    token = token.clamp(max=logits.shape[-1] - 1)
    return token, logprobs.gather(-1, token.unsqueeze(-1)).squeeze(-1)


@torch.inference_mode()
def sample(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[Sequence[Key]],
    *,
    max_new_tokens: int,
    temperature: float,
) -> list[list[Sample]]:
    """Answer each prompt (its token ids) once for every key in its row; all rows have the same number k of keys.

    Returns one list of k samples for each prompt. A sample depends on its prompt, its key and the weights alone.
    """
    k = len(keys[0])
    state = _Decoding.start(policy, prompts, k)
    noise = torch.from_numpy(np.stack([uniforms(max_new_tokens, *key) for row in keys for key in row])).to(
        policy.device
    )
    ends = torch.tensor(policy.end_ids, device=policy.device)
    n = len(prompts) * k
    tokens = torch.zeros((n, max_new_tokens), dtype=torch.long, device=policy.device)
    logprobs = torch.zeros((n, max_new_tokens), device=policy.device)
    lengths = torch.full((n,), max_new_tokens, device=policy.device)
    finished = torch.zeros(n, dtype=torch.bool, device=policy.device)
    for t in range(max_new_tokens):
        token, logprob = draw(state.logits, noise[state.rows, t], temperature)
        tokens[state.rows, t], logprobs[state.rows, t] = token, logprob
        ended = torch.isin(token, ends) & ~finished[state.rows]
        lengths[state.rows[ended]] = t + 1
        finished[state.rows[ended]] = True
        if bool(finished.all()) or t + 1 == max_new_tokens:
            break
        alive = ~finished[state.rows]
        if int(alive.sum()) < (1 - COMPACT_SHARE) * len(alive):
            state, token = state.keep(alive), token[alive]
        state = state.step(policy, token)
    flat = [
        Sample(row[:size], values[:size], done)
        for row, values, size, done in zip(
            tokens.tolist(), logprobs.tolist(), lengths.tolist(), finished.tolist(), strict=True
        )
    ]
    return [flat[i * k : (i + 1) * k] for i in range(len(prompts))]


@dataclass(frozen=True)
class _Decoding:
    """The rows still being written: `rows` (B,) their places in the result, and what the model needs to go on."""

    rows: Tensor
    logits: Tensor
    mask: Tensor
    cache: DynamicCache

    @classmethod
    def start(cls, policy: Policy, prompts: Sequence[Sequence[int]], k: int) -> _Decoding:
        """Read each prompt once, then repeat its cache for its k samples."""
        ids, mask = (x.to(policy.device) for x in left_pad(prompts, policy.pad_id))
        out = policy.model(
            input_ids=ids, attention_mask=mask.long(), position_ids=position_ids(mask), use_cache=True, logits_to_keep=1
        )
        out.cache.batch_repeat_interleave(k)
        rows = torch.arange(len(prompts) * k, device=policy.device)
        return cls(rows, out.logits[:, -1].repeat_interleave(k, 0), mask.repeat_interleave(k, 0), out.cache)

    def keep(self, alive: Tensor) -> _Decoding:
        self.cache.batch_select_indices(alive.nonzero().squeeze(-1))
        return _Decoding(self.rows[alive], self.logits[alive], self.mask[alive], self.cache)

    def step(self, policy: Policy, token: Tensor) -> _Decoding:
        mask = torch.cat([self.mask, self.mask.new_ones(len(token), 1)], dim=-1)
        out = policy.model(
            input_ids=token.unsqueeze(-1),
            attention_mask=mask.long(),
            position_ids=mask.long().sum(-1, keepdim=True) - 1,
            cache=self.cache,
            use_cache=True,
        )
        return _Decoding(self.rows, out.logits[:, -1], mask, out.cache)
