"""Weights that several processes hold in parts (torch's DTensor): put together, filled, and their gradients clipped.

An ordinary tensor is whole in each process, and passes through unchanged. Where a part is met all processes must make
the same calls in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


def is_part(tensor: Tensor | None) -> bool:
    return isinstance(tensor, DTensor)


def gathered(named: Iterable[tuple[str, Tensor]], *, keep: bool = True) -> dict[str, Tensor]:
    """Whole tensors by name, one put together after the other; those that lay in parts come to the CPU. A process that
    does not `keep` them only takes part, and gets none."""
    found = {}
    for name, tensor in named:
        whole = tensor.detach()
        if isinstance(whole, DTensor):
            whole = whole.full_tensor()
            whole = whole.cpu() if keep else whole
        if keep:
            found[name] = whole.contiguous()
    return found


@torch.no_grad()
def fill(own: Tensor, whole: Tensor) -> None:
    """Write a whole tensor into one of which this process may have a part. RuntimeError where the shapes differ."""
    if not isinstance(own, DTensor):
        own.copy_(whole)
        return
    if own.shape != whole.shape:
        raise RuntimeError(f"the shape is {tuple(whole.shape)} and should be {tuple(own.shape)}")
    # Each process has the whole, so that nothing is sent.
    part = distribute_tensor(whole.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
    own.to_local().copy_(part.to_local())


def clip_gradients(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Scale all gradients down to a common norm of at most `most`, in place; returns the norm before, ()."""
    shared = [p for p in parameters if is_part(p.grad)]
    if not shared:
        return nn.utils.clip_grad_norm_(parameters, most)
    whole = [p for p in parameters if p.grad is not None and not is_part(p.grad)]
    norms = [get_total_norm([p.grad for p in group if p.grad is not None]) for group in (shared, whole) if group]
    norm = torch.stack([n.full_tensor() if isinstance(n, DTensor) else n for n in norms]).norm()
    for group in (shared, whole):
        clip_grads_with_norm_(group, most, norm)
    return norm
