"""Log-probabilities (and hidden states) of given answers: the scoring pass.

Letters: B rows, P prompt tokens, T answer tokens, L = P + T, V vocabulary, H hidden size. Where an answer has turns and
others speak between them, T counts its own tokens alone, and L all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trueline.policy.decoder import left_pad, position_ids
from trueline.policy.load import Policy
from trueline.policy.logprobs import has_plain_head, token_logprobs, trunk


@dataclass(frozen=True)
class Batch:
    """tokens, attention (B, L): prompts padded left, answers padded right; mask (B, T): the answers' own tokens.

    at: (B, T) the column of each own token, where others stand between them; None: they are the last T columns.
    """

    tokens: Tensor
    attention: Tensor
    mask: Tensor
    at: Tensor | None = None

    @property
    def chosen(self) -> Tensor:
        """(B, T) the own tokens."""
        return self.tokens[:, -self.mask.shape[1] :] if self.at is None else self.tokens.gather(1, self.at)

    def before(self, x: Tensor) -> Tensor:
        """(B, L, H) to (B, T, H): what stands where each own token was predicted from."""
        if self.at is None:
            return x[:, -self.mask.shape[1] - 1 : -1]
        return x.gather(1, (self.at - 1).unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    def rows(self, index: Tensor) -> Batch:
        at = None if self.at is None else self.at[index]
        return Batch(self.tokens[index], self.attention[index], self.mask[index], at)

    def trimmed(self) -> tuple[Batch, int]:
        """Without the columns in which no row has anything, and how many answer columns are left."""
        width = self.mask.shape[1]
        used = self.attention.any(0).nonzero()
        first, last = int(used[0]), int(used[-1]) + 1
        tokens, attention = self.tokens[:, first:last], self.attention[:, first:last]
        if self.at is not None:
            kept = int(self.mask.sum(-1).max())
            return Batch(tokens, attention, self.mask[:, :kept], (self.at[:, :kept] - first).clamp(min=1)), kept
        kept = width - (self.tokens.shape[1] - last)
        return Batch(tokens, attention, self.mask[:, :kept]), kept

    def to(self, device: torch.device) -> Batch:
        at = None if self.at is None else self.at.to(device)
        return Batch(self.tokens.to(device), self.attention.to(device), self.mask.to(device), at)


def make_batch(
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    pad_id: int,
    own: Sequence[Sequence[bool]] = (),
) -> Batch:
    """Put prompts and answers (token ids) side by side. own: which of an answer's tokens are its own, where others
    speak in between."""
    left, left_mask = left_pad(prompts, pad_id)
    width = max(len(a) for a in answers)
    right = torch.full((len(answers), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(answers), width), dtype=torch.bool)
    for i, answer in enumerate(answers):
        right[i, : len(answer)] = torch.tensor(answer, dtype=torch.long)
        mask[i, : len(answer)] = True
    tokens, attention = torch.cat([left, right], 1), torch.cat([left_mask, mask], 1)
    if not own:
        return Batch(tokens, attention, mask)
    places = [[left.shape[1] + i for i, mine in enumerate(row) if mine] for row in own]
    at = torch.ones((len(places), max(map(len, places))), dtype=torch.long)
    counted = torch.zeros(at.shape, dtype=torch.bool)
    for i, row in enumerate(places):
        at[i, : len(row)] = torch.tensor(row)
        counted[i, : len(row)] = True
    return Batch(tokens, attention, counted, at)


@dataclass(frozen=True)
class Scored:
    """Of each answer token: logprobs, entropy (B, T), and the hidden state it was predicted from (B, T, H) or None."""

    logprobs: Tensor
    entropy: Tensor
    hidden: Tensor | None


def score(model: Any, batch: Batch, temperature: float, *, with_hidden: bool = False) -> Scored:
    """Vocabulary logits only where there is an answer. Entries outside `batch.mask` are rubbish: mask them."""
    inputs = {
        "input_ids": batch.tokens,
        "attention_mask": batch.attention.long(),
        "position_ids": position_ids(batch.attention),
        "use_cache": False,
    }
    chosen = batch.chosen
    if has_plain_head(model):
        hidden = batch.before(trunk(model)(**inputs).last_hidden_state)
        head = model.get_output_embeddings().weight
        found = token_logprobs(hidden[batch.mask] / temperature, head, chosen[batch.mask])
        logprobs, entropy = (torch.zeros_like(batch.mask, dtype=x.dtype).masked_scatter(batch.mask, x) for x in found)
        return Scored(logprobs.float(), entropy.float(), hidden if with_hidden else None)
    keep = batch.mask.shape[1] + 1 if batch.at is None else 0  # 0: all
    out = model(**inputs, logits_to_keep=keep, output_hidden_states=with_hidden)
    all_logprobs = torch.log_softmax(batch.before(out.logits).float() / temperature, dim=-1)
    logprobs = all_logprobs.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        entropy = -(all_logprobs.exp() * all_logprobs).sum(-1)
    return Scored(logprobs, entropy, batch.before(out.hidden_states[-1]) if with_hidden else None)


@torch.inference_mode()
def surprise(
    policy: Policy, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) float64 negative log-probability of each given answer at temperature 1, nats, and (n,) its tokens.

    exp(sum / sum) of the two is the perplexity.
    """
    nats, counts = [], []
    for i in range(0, len(prompts), 64):
        batch = make_batch(prompts[i : i + 64], answers[i : i + 64], policy.pad_id).to(policy.device)
        logprobs = torch.where(batch.mask, score(policy.model, batch, 1.0).logprobs, 0.0)
        nats.append(-logprobs.double().sum(-1).cpu().numpy())
        counts.append(batch.mask.sum(-1).cpu().numpy())
    return np.concatenate(nats), np.concatenate(counts)
