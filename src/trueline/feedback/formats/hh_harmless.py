"""anthropics/hh-rlhf: JSON lines with `chosen` and `rejected`, whole dialogues as text.

One label a pair and no strength: it is stored as "better" (2 of 3), dimension safety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, json_lines, text_of
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt

CROWD = Annotator("hh-rlhf crowd")
STRENGTH = 2
_TURN = re.compile(r"\n\n(Human|Assistant):")


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_lines(path, _parse)


def _parse(row: Any) -> Item:
    prompt, chosen = _split(text_of(row, "chosen"), "chosen")
    other, rejected = _split(text_of(row, "rejected"), "rejected")
    if prompt != other:
        raise BadRow("chosen and rejected answer different dialogues")
    if chosen == rejected:
        raise BadRow("chosen and rejected are the same text")
    a, b = (Exchange.of(prompt, text, "import:hh_harmless") for text in (chosen, rejected))
    return Item((a, b), (), (Comparison(a.completion.id, b.completion.id, "safety", -STRENGTH, CROWD),))


def _split(dialogue: str, field: str) -> tuple[Prompt, str]:
    """The dialogue up to the last assistant turn, and that turn."""
    parts = _TURN.split(dialogue)
    turns = [(role, text.strip()) for role, text in zip(parts[1::2], parts[2::2], strict=True)]
    if parts[0].strip() or len(turns) < 2 or turns[-1][0] != "Assistant":
        raise BadRow(f"{field} is not a dialogue that ends with an Assistant turn")
    if not turns[-1][1]:
        raise BadRow(f"{field} ends with an empty answer")
    if not turns[0][1]:
        raise BadRow(f"{field} has no prompt")
    messages = tuple(Message("user" if role == "Human" else "assistant", text) for role, text in turns[:-1])
    return Prompt(messages), turns[-1][1]
