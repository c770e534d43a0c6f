"""Integrated gradients of a neural score, word by word (Sundararajan et al. 2017), by captum.

Letters: t tokens, h hidden size, d dimensions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients

from trueline.records import Exchange
from trueline.reward.backbone import Backbone, as_text, head_scores

STEPS = (64, 256, 1024)
BATCH = 64
LAYOUT = "line breaks and spaces"
_WORD = re.compile(r"[㐀-䶿一-鿿豈-﫿぀-ヿ가-힯]|\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|\S")


@dataclass(frozen=True)
class WordShares:
    """base (d,): the head's output for the same text with every word hidden; words: what each adds, head by head."""

    base: np.ndarray
    words: list[dict[str, float]]


def word_shares(backbone: Backbone, exchange: Exchange, tolerance: np.ndarray) -> WordShares:
    """More steps are taken while a head's words miss its output by more than tolerance (d,), up to 1,024 steps."""
    model, (ids, places) = backbone.model, backbone.tokens_with_places(exchange)
    special = set(backbone.tokenizer.all_special_ids)
    hidden = [i if i in special else _hiding_id(backbone) for i in ids]
    embed = model.get_input_embeddings()
    with torch.no_grad():
        text, blank = (embed(torch.tensor([row], device=model.device)) for row in (ids, hidden))
        ends = torch.cat([_scores(model, text), _scores(model, blank)]).double().cpu().numpy()
    shares = [
        _token_shares(model, text, blank, head, ends[0, head] - ends[1, head], float(tolerance[head]))
        for head in range(len(tolerance))
    ]
    names = _names(as_text(backbone.tokenizer, exchange), exchange.completion.text, places)
    return WordShares(ends[1], [_by_name(names, row) for row in shares])


def _token_shares(
    model: torch.nn.Module, text: torch.Tensor, blank: torch.Tensor, head: int, whole: float, tolerance: float
) -> np.ndarray:
    """(t,) what each token adds; `whole` is what they should add together."""
    method = IntegratedGradients(lambda embedded: _scores(model, embedded))
    found = np.zeros(text.shape[1])
    for steps in STEPS:
        each = method.attribute(text, baselines=blank, target=head, n_steps=steps, internal_batch_size=BATCH)
        found = each.sum(-1)[0].detach().double().cpu().numpy()
        if abs(found.sum() - whole) <= tolerance:
            break
    return found


def _scores(model: torch.nn.Module, embedded: torch.Tensor) -> torch.Tensor:
    mask = torch.ones(embedded.shape[:2], dtype=torch.long, device=embedded.device)
    return head_scores(model, mask, inputs_embeds=embedded)


def _hiding_id(backbone: Backbone) -> int:
    """A mask token or else padding; not an embedding of 0, from which RMSNorm makes a jump that no steps resolve."""
    tokenizer, weight = backbone.tokenizer, backbone.model.get_input_embeddings().weight
    asked = (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    usable = [i for i in asked if i is not None and i < len(weight) and float(weight[i].norm()) > 1e-6]
    return int(usable[0]) if usable else 0


def _names(text: str, answer: str, places: list[tuple[int, int]]) -> list[str]:
    """The word that each token is part of, "" for none; words of the conversation are marked as the request's."""
    starts = [m.start() for m in _WORD.finditer(text)]
    words = [m.group().lower() for m in _WORD.finditer(text)]
    said = text.rfind(answer.strip())
    found = []
    for start, end in places:
        # A token may begin with the space before its word.
        start += len(text[start:end]) - len(text[start:end].lstrip())
        k = int(np.searchsorted(starts, start, side="right")) - 1
        if start >= end or k < 0:
            found.append("")
        else:
            found.append(words[k] if starts[k] >= said else f"{words[k]} (request)")
    return found


def _by_name(names: list[str], shares: np.ndarray) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for name, share in zip(names, shares.tolist(), strict=True):
        found[name or LAYOUT] += share
    return dict(found)
