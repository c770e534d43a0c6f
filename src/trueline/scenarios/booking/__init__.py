"""Booking and scheduling: an assistant with tools that really act, in a sandbox, for simulated users.

A task's success is read off the calendar and the hotel desk in the end; nobody judges it. Name a policy
(`policy.model`): none comes with it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from trueline.records import Message, Prompt, Split, split_of
from trueline.scenarios.base import Scenario
from trueline.scenarios.booking.desk import open_desk
from trueline.scenarios.booking.tasks import Request, draw_request
from trueline.scenarios.booking.truth import DIMENSIONS, truth

GUIDE = "Book and schedule. A turn such as help() is a call."
_SPLIT_KEYS: dict[Split, int] = {"train": 1, "validation": 2, "test": 3}


def as_prompt(request: Request) -> Prompt:
    """A task as what it is played from."""
    meta = {"environment": "booking", "kind": request.kind, "task": request.task().row()}
    return Prompt(opening(request.text), meta)


def opening(text: str) -> tuple[Message, ...]:
    return Message("system", GUIDE), Message("user", text)


def draw_prompt(rng: np.random.Generator, split: Split) -> Prompt:
    """Of that split; which one a first turn belongs to is told before its task is drawn."""
    while True:
        request = draw_request(rng)
        if split_of(Prompt(opening(request.text))) == split:
            return as_prompt(request)


def prompts(n: int, split: Split, seed: int) -> list[Prompt]:
    """n tasks with distinct first turns that belong to `split`; the same for the same arguments."""
    return list(_drawn(n, split, seed))


@lru_cache(maxsize=4)
def _drawn(n: int, split: Split, seed: int) -> tuple[Prompt, ...]:
    rng = np.random.default_rng([17, _SPLIT_KEYS[split], seed])
    found: dict[str, Prompt] = {}
    while len(found) < n:
        prompt = draw_prompt(rng, split)
        found[prompt.id] = prompt
    return tuple(found.values())


SCENARIO = Scenario(
    name="booking",
    policy_folder=None,
    prompts=prompts,
    truth=truth,
    held_out_text=None,
    settings={
        "project": {"dimensions": DIMENSIONS},
        "policy": {"max_prompt_tokens": 96, "max_new_tokens": 192},
        "objective": {"weights": dict.fromkeys(DIMENSIONS, 0.0), "checks": {"task": 1.0}},
    },
)

__all__ = ["SCENARIO", "draw_prompt", "open_desk", "prompts", "truth"]
