"""How a batch is cut for workers and micro-batches, so that little padding is computed and nobody waits.

Letters: B answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trueline.policy.scoring import Batch, make_batch


def cut(n: int, parts: int) -> list[slice]:
    """range(n) as up to `parts` neighbouring slices of nearly equal length; none is empty."""
    bounds = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b]


def deal(batch: Batch, workers: int, *, everyone: bool = False) -> list[Tensor]:
    """Rows for each of up to `workers` workers, longest first and dealt in turn, so that all have about as much; with
    `everyone`, none for those that are too many."""
    order = _longest_first(batch)
    return [order[i::workers] for i in range(workers if everyone else min(workers, len(order)))]


def micro_batches(batch: Batch, size: int, least: int = 0) -> list[Tensor]:
    """All rows in groups of up to `size` that are about equally long, and empty ones behind them up to `least`."""
    order = _longest_first(batch)
    groups = list(order.split(size)) if len(order) else []
    return groups + [order[:0]] * (least - len(groups))


def passes(shares: Sequence[Tensor], size: int) -> int:
    """The most groups of up to `size` that one of the shares is cut into."""
    return max(-(-len(rows) // size) for rows in shares)


def blank(device: torch.device) -> Batch:
    """A token and an answer of one: what is read by who has no rows left while others, whom it must accompany, have."""
    return make_batch([[0]], [[0]], 0).to(device)


def _longest_first(batch: Batch) -> Tensor:
    return torch.argsort(batch.attention.sum(-1), descending=True, stable=True)
