"""What is judged first, and when one more person is asked. Pure functions of what has been said of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

GOLD = 3.0
FAR_APART = 3  # marks of one answer, of 1 to 5


def priority(*, gold: bool, disagreement: float, uncertainty: float, judged: int) -> float:
    """Gold items first, then where people disagree, then where the reward model is unsure, then what few have judged.

    disagreement: 0 to 1; uncertainty: 0 or more, the reward model's doubt.
    """
    if gold:
        return GOLD
    if disagreement > 0:
        return 1 + disagreement
    return uncertainty / (1 + uncertainty) - 1e-6 * judged


def disagreement(said: Sequence[Mapping[str, Any]]) -> float:
    """0 where people agree, else up to 1: preferences that point different ways, or marks three steps apart.

    said: the judgements of an item, preferences and marks turned to the item's own order of answers.
    """
    preferences = [s["preference"] for s in said if s.get("preference") is not None]
    found = 0.0
    if preferences and min(preferences) < 0 < max(preferences):
        found = (max(preferences) - min(preferences)) / 6
    for marks in _marks(said).values():
        if max(marks) - min(marks) >= FAR_APART:
            found = max(found, (max(marks) - min(marks)) / 4)
    return found


def _marks(said: Sequence[Mapping[str, Any]]) -> dict[tuple[int, str], list[int]]:
    """By answer and dimension, what people gave; "not applicable" is no mark."""
    found: dict[tuple[int, str], list[int]] = {}
    for s in said:
        for i, marks in enumerate(s.get("marks", ())):
            for name, value in marks.items():
                if value is not None:
                    found.setdefault((i, name), []).append(value)
    return found
