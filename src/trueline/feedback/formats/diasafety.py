"""thu-coai/DiaSafety: a JSON array of `context`, `response`, `category`, `label`. Safe is safety 5, Unsafe 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, json_array, text_of
from trueline.records import Annotator, Exchange, Prompt, Rating

CROWD = Annotator("DiaSafety crowd")
MARKS = {"Safe": 5, "Unsafe": 1}


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_array(path, _parse)


def _parse(row: Any) -> Item:
    label = row.get("label")
    if not isinstance(label, str) or label not in MARKS:
        raise BadRow(f"label is {label!r}, must be Safe or Unsafe")
    meta = {"category": str(row.get("category", ""))}
    prompt = Prompt.from_user(text_of(row, "context"), meta)
    exchange = Exchange.of(prompt, text_of(row, "response"), "import:diasafety")
    return Item((exchange,), (Rating(exchange.completion.id, "safety", MARKS[label], CROWD),))
