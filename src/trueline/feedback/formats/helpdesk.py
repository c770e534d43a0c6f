"""NTCIR STC-3 helpdesk dialogues: JSON lines with `turns` and 19 people's `ratings` from -2 to 2.

The last helpdesk turn is the answer, what stands before it the prompt. A (task accomplishment) becomes quality, -2..2
as 1..5; S and E are left out. A person's column says nothing across dialogues: the file does not tell who is who, so
"helpdesk rater 07" is a column, not a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, json_lines
from trueline.records import Annotator, Exchange, Message, Prompt, Rating, Role

DIMENSION_OF = {"A": "quality"}
ROLES: dict[str, Role] = {"customer": "user", "helpdesk": "assistant"}


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_lines(path, _parse)


def _parse(row: Any) -> Item:
    messages = _messages(row.get("turns"))
    while messages and messages[-1].role == "user":
        messages.pop()
    if len(messages) < 2:
        raise BadRow("has no helpdesk turn that answers a customer")
    prompt, answer = Prompt(tuple(messages[:-1])), messages[-1].content
    exchange = Exchange.of(prompt, answer, "import:helpdesk")
    ratings = row.get("ratings")
    if not isinstance(ratings, list) or not ratings:
        raise BadRow("has no ratings")
    found = [
        Rating(exchange.completion.id, dimension, _mark(given, key), Annotator(f"helpdesk rater {i:02d}"))
        for i, given in enumerate(ratings, 1)
        for key, dimension in DIMENSION_OF.items()
    ]
    return Item((exchange,), tuple(found))


def _messages(turns: Any) -> list[Message]:
    """One message for neighbouring turns of one side. Left out: a helpdesk opening, a turn without text (a picture)."""
    if not isinstance(turns, list) or not turns:
        raise BadRow("has no turns")
    found: list[Message] = []
    for turn in turns:
        sender, text = (turn.get("sender"), turn.get("text")) if isinstance(turn, dict) else (None, None)
        if not isinstance(sender, str) or sender not in ROLES or not isinstance(text, str):
            raise BadRow("a turn needs a sender (customer or helpdesk) and a text")
        role, text = ROLES[sender], text.strip()
        if not text:
            continue
        if found and found[-1].role == role:
            found[-1] = Message(role, f"{found[-1].content}\n{text}")
        elif found or role == "user":
            found.append(Message(role, text))
    return found


def _mark(given: Any, key: str) -> int:
    value = given.get(key) if isinstance(given, dict) else None
    if type(value) is not int or not -2 <= value <= 2:
        raise BadRow(f"rating {key} is {value!r}, must be -2 to 2")
    return value + 3
