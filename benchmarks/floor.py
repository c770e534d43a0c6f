"""The least time a step can take: its matrix products alone, in fp32, one after the other, nothing between them.

Counted are the prompts read once each, every decoding step with a cache, the reference's pass over the answers, and
forward and backward of each epoch; attention over whole squares, vocabulary products only where there is an answer.

Letters: B sequences, Q tokens read, K tokens attended to, N heads, D head size, H hidden size, F inner size, V words.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import sizes
import torch
from torch import Tensor

Shape = tuple[int, ...]


@cache
def operand(shape: Shape, role: Any) -> Tensor:
    """One tensor for each role, so that every layer has weights of its own."""
    return torch.full(shape, 0.01)


def multiply(a: Shape, b: Shape, layer: int = 0) -> None:
    """(..., m, k) times (..., k, n) into memory that is there already."""
    out = operand((*a[:-1], b[-1]), "out")
    torch.matmul(operand(a, "left"), operand(b, ("right", layer)), out=out)


def linear(rows: int, inner: int, outer: int, layer: int, *, backward: bool) -> None:
    """(rows, inner) times (inner, outer); backward: the gradients of both."""
    multiply((rows, inner), (inner, outer), layer)
    if backward:
        multiply((rows, outer), (outer, inner), layer)
        multiply((inner, rows), (rows, outer), layer)


def attention(b: int, q: int, k: int, heads: int, size: int, *, backward: bool) -> None:
    multiply((b * heads, q, size), (b * heads, size, k))
    multiply((b * heads, q, k), (b * heads, k, size))
    if backward:
        multiply((b * heads, k, q), (b * heads, q, size))
        multiply((b * heads, q, size), (b * heads, size, k))
        multiply((b * heads, q, k), (b * heads, k, size))
        multiply((b * heads, k, q), (b * heads, q, size))


def forward(name: str, b: int, q: int, k: int, predicted: int, *, backward: bool = False) -> None:
    """A pass over B sequences of Q new tokens; `predicted` rows go through the vocabulary."""
    words, hidden, inner, layers, heads = sizes.MODELS[name]
    for i in range(layers):
        linear(b * q, hidden, 3 * hidden, i, backward=backward)
        attention(b, q, k, heads, hidden // heads, backward=backward)
        linear(b * q, hidden, hidden, i, backward=backward)
        linear(b * q, hidden, 2 * inner, i, backward=backward)
        linear(b * q, inner, hidden, i, backward=backward)
    linear(predicted, hidden, words, 0, backward=backward)


def generate(name: str, prompts: int) -> None:
    forward(name, prompts, sizes.PROMPT_TOKENS, sizes.PROMPT_TOKENS, prompts)
    for t in range(1, sizes.NEW_TOKENS):
        forward(name, sizes.ANSWERS, 1, sizes.PROMPT_TOKENS + t, sizes.ANSWERS)


def step(name: str, algorithm: str) -> None:
    alone = algorithm == "ppo"
    length, predicted = sizes.PROMPT_TOKENS + sizes.NEW_TOKENS, sizes.ANSWERS * sizes.NEW_TOKENS
    generate(name, sizes.ANSWERS if alone else sizes.ANSWERS // sizes.GROUP)
    forward(name, sizes.ANSWERS, length, length, predicted)
    for _ in range(sizes.PPO_EPOCHS if alone else 1):
        forward(name, sizes.ANSWERS, length, length, predicted, backward=True)


def seconds(work: Any, *given: Any, times: int = 3) -> float:
    """The best of some runs: a floor is what can be had, not what is usual."""
    torch.set_num_threads(sizes.THREADS)
    taken = []
    with torch.inference_mode():
        for _ in range(times + 1):
            started = time.perf_counter()
            work(*given)
            taken.append(time.perf_counter() - started)
    operand.cache_clear()
    return min(taken)
