"""Log-probabilities (and hidden states) of given answers: the scoring pass.

Letters: B rows, P prompt tokens, T answer tokens, L = P + T, V vocabulary, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trueline.policy.load import Policy
from trueline.policy.sampler import left_pad, position_ids


@dataclass(frozen=True)
class Batch:
    """tokens, attention (B, L): prompts padded left, answers padded right; mask (B, T): the answers' own tokens."""

    tokens: Tensor
    attention: Tensor
    mask: Tensor

    def rows(self, index: Tensor) -> Batch:
        return Batch(self.tokens[index], self.attention[index], self.mask[index])

    def to(self, device: torch.device) -> Batch:
        return Batch(self.tokens.to(device), self.attention.to(device), self.mask.to(device))


def make_batch(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad_id: int) -> Batch:
    """Put prompts and answers (token ids) side by side."""
    left, left_mask = left_pad(prompts, pad_id)
    width = max(len(a) for a in answers)
    right = torch.full((len(answers), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(answers), width), dtype=torch.bool)
    for i, answer in enumerate(answers):
        right[i, : len(answer)] = torch.tensor(answer, dtype=torch.long)
        mask[i, : len(answer)] = True
    return Batch(torch.cat([left, right], 1), torch.cat([left_mask, mask], 1), mask)


@dataclass(frozen=True)
class Scored:
    """Of each answer token: logprobs, entropy (B, T), and the hidden state it was predicted from (B, T, H) or None."""

    logprobs: Tensor
    entropy: Tensor
    hidden: Tensor | None


def score(model: torch.nn.Module, batch: Batch, temperature: float, *, with_hidden: bool = False) -> Scored:
    """Vocabulary logits only where there is an answer. Entries outside `batch.mask` are rubbish: mask them."""
    width = batch.mask.shape[1]
    out = model(
        input_ids=batch.tokens,
        attention_mask=batch.attention.long(),
        position_ids=position_ids(batch.attention),
        use_cache=False,
        logits_to_keep=width + 1,
        output_hidden_states=with_hidden,
    )
    logprobs = torch.log_softmax(out.logits[:, -width - 1 : -1].float() / temperature, dim=-1)
    chosen = logprobs.gather(-1, batch.tokens[:, -width:].unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        entropy = -(logprobs.exp() * logprobs).sum(-1)
    hidden = out.hidden_states[-1][:, -width - 1 : -1] if with_hidden else None
    return Scored(chosen, entropy, hidden)


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
