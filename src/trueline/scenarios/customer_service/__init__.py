"""The embedded scenario: a shop's customer service, where the truth about every reply is known."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from trueline.records import Exchange, Prompt, Split, split_of
from trueline.scenarios.base import Scenario
from trueline.scenarios.customer_service import grammar
from trueline.scenarios.customer_service.facts import Facts
from trueline.scenarios.customer_service.truth import truth

_SPLIT_KEYS: dict[Split, int] = {"train": 1, "validation": 2, "test": 3}


def draw_prompt(rng: np.random.Generator) -> Prompt:
    facts = Facts.draw(rng)
    return Prompt.from_user(facts.request(rng), meta=vars(facts).copy())


def prompts(n: int, split: Split, seed: int) -> list[Prompt]:
    """n distinct requests that belong to `split`; the same for the same arguments."""
    return list(_drawn(n, split, seed))


@lru_cache(maxsize=4)  # every reading of answers asks for their prompts; nine of ten drawn are refused
def _drawn(n: int, split: Split, seed: int) -> tuple[Prompt, ...]:
    rng = np.random.default_rng([_SPLIT_KEYS[split], seed])
    found: dict[str, Prompt] = {}
    while len(found) < n:
        prompt = draw_prompt(rng)
        if split_of(prompt) == split:
            found[prompt.id] = prompt
    return tuple(found.values())


def held_out_text(n: int, seed: int) -> list[Exchange]:
    """Helpful replies to test prompts: text that a good policy should not find surprising."""
    rng = np.random.default_rng([9, seed])
    return [
        Exchange.of(p, grammar.reply(Facts(**p.meta), "helpful", rng), source="generator")
        for p in prompts(n, "test", seed + 1)
    ]


SCENARIO = Scenario(
    name="customer_service",
    policy_folder=Path(__file__).parent / "policy",
    prompts=prompts,
    truth=truth,
    held_out_text=held_out_text,
)
