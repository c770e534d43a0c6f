"""Argilla's records as JSON, of version 1 (`responses` a list, each with `values`) and 2 (`responses` by question).

A rating question named like a dimension, 1 to 5, is a rating; where there are two answers, one named for the answer
too, such as `quality_response1`. A label question that names one of two answers, and a ranking, is a preference
("better", 2 of 3) in the dimension of the question's name, else overall. Only submitted responses count; suggestions
are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, any_rows
from trueline.feedback.formats.fields import Asked, asked_of, plain
from trueline.feedback.formats.marks import STRENGTH, whole
from trueline.feedback.labelling.records import OVERALL
from trueline.records import Annotator, Comparison, Rating

SOURCE = "import:argilla"


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return any_rows(path, lambda row: _parse(row, dimensions))


def _parse(row: Any, dimensions: tuple[str, ...]) -> Item:
    asked = asked_of(row.get("fields"), SOURCE)
    said = [
        label
        for person, question, value in _said(row.get("responses"))
        if (label := _label(asked, question, value, Annotator(person), dimensions)) is not None
    ]
    ratings = tuple(x for x in said if isinstance(x, Rating))
    return Item(asked.exchanges, ratings, tuple(x for x in said if isinstance(x, Comparison)))


def _said(responses: Any) -> Iterator[tuple[str, str, Any]]:
    """Person, question and value of every submitted response."""
    if isinstance(responses, Mapping):
        for question, given in responses.items():
            for one in given if isinstance(given, list) else ():
                if isinstance(one, Mapping) and one.get("status", "submitted") == "submitted":
                    yield _person(one), question, one.get("value")
    elif isinstance(responses, list):
        for one in responses:
            if not isinstance(one, Mapping) or not isinstance(one.get("values") or {}, Mapping):
                raise BadRow("a response needs values")
            if one.get("status", "submitted") == "submitted":
                for question, value in (one.get("values") or {}).items():
                    yield _person(one), question, value.get("value") if isinstance(value, Mapping) else value
    elif responses is not None:
        raise BadRow("responses must be a list, or an object by question")


def _person(response: Mapping[str, Any]) -> str:
    return f"argilla {response.get('user_id') or 'unnamed'}"


def _label(
    asked: Asked, question: str, value: Any, person: Annotator, dimensions: tuple[str, ...]
) -> Rating | Comparison | None:
    name = plain(question)
    about = next((d for d in dimensions if plain(d) == name), None)
    if isinstance(value, int | float):
        for exchange, answer in zip(asked.exchanges, asked.names, strict=True):
            for d in dimensions:
                if name == plain(d) + answer or (name == plain(d) and len(asked.names) == 1):
                    return Rating(exchange.completion.id, d, whole(value, question, 1, 5), person)
        return None
    if len(asked.names) < 2 or value is None or not (isinstance(value, list) or _names_a_side(asked, value)):
        return None  # a text, or a label that is not about which answer is better
    a, b = (e.completion.id for e in asked.exchanges)
    return Comparison(a, b, about or OVERALL, _preference(asked, value), person)


def _names_a_side(asked: Asked, value: Any) -> bool:
    try:
        asked.side(value)
    except BadRow:
        return False
    return True


def _preference(asked: Asked, value: Any) -> int:
    """Of the name of the better answer, or of ranks."""
    if not isinstance(value, list):
        side = asked.side(value)
        return 0 if side is None else (-STRENGTH, STRENGTH)[side]
    ranks = {}
    for one in value:
        if not isinstance(one, Mapping):
            raise BadRow("a ranking must give each answer a rank")
        ranks[asked.side(one.get("value"))] = whole(one.get("rank"), "rank", 1, 100)
    if set(ranks) != {0, 1}:
        raise BadRow("a ranking must give each answer a rank")
    return STRENGTH * ((ranks[0] > ranks[1]) - (ranks[0] < ranks[1]))
