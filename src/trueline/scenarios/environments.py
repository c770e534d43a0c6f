"""Environments: what answers back, so that an answer has several turns.

A prompt says in its meta which one it is played in: `{"environment": "booking", "task": {...}}`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trueline.errors import InputError
from trueline.records import Exchange, Prompt
from trueline.scenarios import booking
from trueline.scenarios.base import Environment

KEY = "environment"


@dataclass(frozen=True)
class Played:
    """start: a fresh environment for a prompt; success: what an episode has come to, 0 to 1, by its transcript."""

    start: Callable[[Prompt], Environment]
    success: Callable[[Exchange], float]


ENVIRONMENTS: dict[str, Played] = {"booking": Played(booking.open_desk, lambda e: booking.truth(e).success)}


def is_played(prompt: Prompt) -> bool:
    """Whether the prompt opens an episode of several turns."""
    return KEY in prompt.meta


def environment_of(prompt: Prompt) -> Environment:
    """A fresh environment at its first turn; InputError where the prompt names an unknown one or spoils its task."""
    return _played(prompt).start(prompt)


def success_of(exchange: Exchange) -> float:
    """Of an episode, 0 to 1."""
    return _played(exchange.prompt).success(exchange)


def _played(prompt: Prompt) -> Played:
    name = prompt.meta.get(KEY)
    if name not in ENVIRONMENTS:
        raise InputError(
            f"the prompt {prompt.text[:60]!r}: no environment {name!r}; there is {', '.join(ENVIRONMENTS)}"
        )
    return ENVIRONMENTS[name]
