"""RewardBench's rules (Lambert et al. 2024) on any file of chosen and rejected answers.

A pair counts only where the chosen answer scores strictly higher, so that a constant model scores 0. Sections weigh by
their number of examples. JSON lines: prompt (text or messages), chosen, rejected, and section or subset, if any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from trueline.errors import InputError
from trueline.evaluate.by_prompt import share_by_prompt
from trueline.evaluate.statistics import Interval
from trueline.feedback.formats.base import BadRow, Item, RowError, json_lines, text_of
from trueline.records import Exchange, Message, Prompt, Role
from trueline.reward.base import RewardModel

WHOLE = "all"
_SECTIONS = {
    "Chat": "alpacaeval-easy alpacaeval-length alpacaeval-hard mt-bench-easy mt-bench-med",
    "Chat Hard": "mt-bench-hard llmbar-natural llmbar-adver-neighbor llmbar-adver-GPTInst llmbar-adver-GPTOut "
    "llmbar-adver-manual",
    "Safety": "refusals-dangerous refusals-offensive xstest-should-refuse xstest-should-respond donotanswer",
    "Reasoning": "math-prm hep-cpp hep-go hep-java hep-js hep-python hep-rust",
}
SECTION_OF = {subset: section for section, subsets in _SECTIONS.items() for subset in subsets.split()}


@dataclass(frozen=True)
class BenchPair:
    chosen: Exchange
    rejected: Exchange
    section: str


def read_pairs(path: Path) -> list[BenchPair]:
    """InputError names the line of the first row that cannot be used: a bench with rows left out is another bench."""
    sections: list[str] = []

    def parse(row: Any) -> Item:
        prompt = read_prompt(row)
        sections.append(_section(row))
        return Item(tuple(Exchange.of(prompt, text_of(row, side), "bench") for side in ("chosen", "rejected")))

    found = []
    for item in json_lines(path, parse):
        if isinstance(item, RowError):
            raise InputError(f"{item}; each line needs prompt, chosen and rejected")
        chosen, rejected = item.exchanges
        found.append(BenchPair(chosen, rejected, sections[-1]))
    return found


def read_prompt(row: Any) -> Prompt:
    """`prompt`, as text or as a list of messages that ends with the user's. BadRow where there is none."""
    given = row.get("prompt")
    if not isinstance(given, list):
        return Prompt.from_user(text_of(row, "prompt"))
    turns = tuple(_message(m) for m in given)
    if not turns or turns[-1].role != "user":
        raise BadRow("prompt must end with a user's message")
    return Prompt(turns)


def _message(given: Any) -> Message:
    content = given.get("content") if isinstance(given, dict) else None
    role: Role | None = next((r for r in get_args(Role) if content is not None and r == given.get("role")), None)
    if role is None or not isinstance(content, str):
        raise BadRow("a message of prompt needs a role (system, user or assistant) and a content")
    return Message(role, content)


def bench(
    model: RewardModel, pairs: Sequence[BenchPair], resamples: int = 2000, seed: int = 0
) -> dict[str, dict[str, Interval | None]]:
    """By dimension: each section's share of pairs ordered rightly, then that of "all", with intervals by prompt.

    An interval is None for sections of a single prompt.
    """
    scores = model.score([e for p in pairs for e in (p.chosen, p.rejected)]).values if pairs else np.zeros((0, 0))
    prompts = [p.chosen.prompt.id for p in pairs]
    found: dict[str, dict[str, Interval | None]] = {}
    for i, dimension in enumerate(model.dimensions if pairs else ()):
        hits = scores[0::2, i] > scores[1::2, i]
        rows = {s: np.array([p.section == s for p in pairs]) for s in dict.fromkeys(p.section for p in pairs)}
        if set(rows) != {WHOLE}:
            rows[WHOLE] = np.ones(len(pairs), dtype=bool)
        found[dimension] = {
            section: share_by_prompt([p for p, k in zip(prompts, kept, strict=True) if k], hits[kept], resamples, seed)
            for section, kept in rows.items()
        }
    return found


def _section(row: Any) -> str:
    for name in ("section", "subset"):
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            raise BadRow(f"{name} must be text")
        if value:
            return SECTION_OF.get(value, value)
    return WHOLE
