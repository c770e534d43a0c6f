"""Less memory in training: a layer keeps its input alone, and the backward pass computes the rest again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from trueline.errors import InputError


def recompute_activations(model: torch.nn.Module) -> None:
    """Activation checkpointing (Chen et al. 2016) of every layer, in place; the gradients stay the same.

    Not by the library's own switch, which works in training mode only, where dropout would come on.
    """
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise InputError("align.recompute: this model has no layers that can be computed again; set it to false")
    for layer in layers:
        layer.forward = partial(_forward, layer.forward)


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return (
        checkpoint(forward, *args, use_reentrant=False, **kwargs)
        if torch.is_grad_enabled()
        else forward(*args, **kwargs)
    )
