"""Heads on a policy's last hidden state: what a state is worth, and what each next token is worth.

Letters: B rows, H hidden size, V vocabulary. Heads are kept in fp32, whatever the trunk is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from trueline.errors import InputError
from trueline.policy.randomness import generator

Shape = Callable[[Tensor, Tensor], Tensor]
FILE = "heads.safetensors"


def new_head(name: str, hidden: int, vocabulary: int, device: torch.device) -> nn.Module:
    """`value`: linear, (H,) to (1,). `q1`, `q2`: H to 2 H to V, as in trlX. Every head says 0 at first.

    The hidden layer of a Q head is drawn by its name, so that twins differ and a run repeats.
    """
    if name == "value":
        head = nn.Linear(hidden, 1, device=device)
        return _zero(head)
    drawn = generator("head", name).standard_normal((2 * hidden, hidden)) / math.sqrt(hidden)
    first = nn.Linear(hidden, 2 * hidden, device=device)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(drawn))
        first.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), _zero(nn.Linear(2 * hidden, vocabulary, device=device)))


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def q_shape(weights: Mapping[str, Tensor], beta: float) -> Shape:
    """Logits to draw from: log pi + beta * (min(Q1, Q2) - V), as in Snell et al. 2022.

    V is the same for all tokens of a state, so that the softmax does not see it, and it is left out.
    """

    def shape(hidden: Tensor, logits: Tensor) -> Tensor:
        """(B, H) and (B, V) to (B, V)."""
        x = hidden.float()
        both = [
            linear(
                relu(linear(x, weights[f"{q}.0.weight"], weights[f"{q}.0.bias"])),
                weights[f"{q}.2.weight"],
                weights[f"{q}.2.bias"],
            )
            for q in ("q1", "q2")
        ]
        return logits.float() + beta * torch.minimum(*both)

    return shape


def save_heads(weights: Mapping[str, Tensor], beta: float, folder: Path) -> None:
    """Write the Q heads and their weight in decoding beside a policy."""
    save_file({n: w.detach().contiguous() for n, w in weights.items()}, folder / FILE, {"beta": repr(beta)})


def load_shape(folder: Path, device: torch.device) -> Shape | None:
    """How a saved policy's Q heads shape its logits; None where it has none. InputError for a bad file."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt", device=str(device)) as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            beta = float(opened.metadata()["beta"])
        return q_shape(
            {f"{q}.{i}.{p}": weights[f"{q}.{i}.{p}"] for q in ("q1", "q2") for i in (0, 2) for p in ("weight", "bias")},
            beta,
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the Q heads of a policy ({error}); copy the whole model folder again") from error
