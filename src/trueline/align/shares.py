"""How a batch is cut for workers and micro-batches, so that little padding is computed and nobody waits.

Letters: B answers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trueline.policy.scoring import Batch


def cut(n: int, parts: int) -> list[slice]:
    """range(n) as up to `parts` neighbouring slices of nearly equal length; none is empty."""
    bounds = [n * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b]


def deal(batch: Batch, workers: int) -> list[Tensor]:
    """Rows for each of up to `workers` workers, longest first and dealt in turn, so that all have about as much."""
    order = _longest_first(batch)
    return [order[i::workers] for i in range(min(workers, len(order)))]


def micro_batches(batch: Batch, size: int) -> list[Tensor]:
    """All rows in groups of up to `size` that are about equally long."""
    return list(_longest_first(batch).split(size))


def _longest_first(batch: Batch) -> Tensor:
    return torch.argsort(batch.attention.sum(-1), descending=True, stable=True)
