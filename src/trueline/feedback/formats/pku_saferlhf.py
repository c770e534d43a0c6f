"""PKU-SafeRLHF: a JSON array of `prompt` and `response`, the safer answer first. Dimension safety."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, json_array, text_of
from trueline.records import Annotator, Comparison, Exchange, Prompt

CROWD = Annotator("PKU-SafeRLHF crowd")
STRENGTH = 2


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_array(path, _parse)


def _parse(row: Any) -> Item:
    prompt = Prompt.from_user(text_of(row, "prompt"))
    answers = row.get("response")
    if not isinstance(answers, list) or len(answers) != 2 or not all(isinstance(x, str) and x.strip() for x in answers):
        raise BadRow("response must be two answers, the safer first")
    if answers[0] == answers[1]:
        raise BadRow("the two answers are the same text")
    a, b = (Exchange.of(prompt, text, "import:pku_saferlhf") for text in answers)
    return Item((a, b), (), (Comparison(a.completion.id, b.completion.id, "safety", -STRENGTH, CROWD),))
