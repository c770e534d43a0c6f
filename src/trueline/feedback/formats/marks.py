"""What published sets have in common: marks by name, and pairs of which one answer was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, text_of, turns_of
from trueline.feedback.labelling.records import OVERALL
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

STRENGTH = 2  # "better", of 3: such sets name the better answer, and not by how much
STANDS_FOR = {"quality": "helpfulness", "consistency": "coherence"}


def named(marks: Mapping[str, int | None], dimensions: tuple[str, ...]) -> dict[str, int | None]:
    """The marks that are named like a dimension of the project; helpfulness for quality, coherence for consistency.

    A mark stands in for a dimension only where the project has none of the mark's own name.
    """
    found = {}
    for d in dimensions:
        other = STANDS_FOR.get(d, "")
        if d in marks:
            found[d] = marks[d]
        elif other in marks and other not in dimensions:
            found[d] = marks[other]
    if not found:
        raise BadRow(f"has marks for {', '.join(marks) or 'nothing'}; the project's are {', '.join(dimensions)}")
    return found


def rated(exchange: Exchange, marks: Mapping[str, int | None], annotator: Annotator) -> tuple[Rating, ...]:
    return tuple(Rating(exchange.completion.id, d, value, annotator) for d, value in marks.items())


def dimension_of_preference(dimensions: tuple[str, ...]) -> str:
    """A preference about the whole answer: the project's quality, else helpfulness, else overall."""
    return next((d for d in ("quality", "helpfulness") if d in dimensions), OVERALL)


def pair(prompt: Prompt, a: str, b: str, preference: int, dimension: str, annotator: Annotator, source: str) -> Item:
    """preference: -3 (A much better) to 3."""
    first, second = (Exchange.of(prompt, text, source) for text in (a, b))
    if first.completion.id == second.completion.id:
        raise BadRow("the two answers are the same text")
    said = Comparison(first.completion.id, second.completion.id, dimension, preference, annotator)
    return Item((first, second), (), (said,))


def prompt_of(value: Any, name: str) -> Prompt:
    """A text, or a list of turns."""
    if isinstance(value, list):
        return Prompt(turns_of(value))
    return Prompt.from_user(text_of({name: value}, name))


def answer_of(value: Any, name: str) -> str:
    """A text, or a dialogue that ends with it."""
    if isinstance(value, list):
        last = value[-1] if value else None
        if not isinstance(last, dict) or last.get("role") != "assistant":
            raise BadRow(f"{name} must end with an assistant's turn")
        value = last.get("content")
    return text_of({name: value}, name)


def whole(value: Any, name: str, least: int, most: int) -> int:
    """A whole number in a range, written as one or as text."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise BadRow(f"{name} is {value!r}, must be {least} to {most}")
    return value
