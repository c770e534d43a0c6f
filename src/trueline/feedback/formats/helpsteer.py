"""nvidia/HelpSteer and HelpSteer2: `prompt`, `response` and five marks of 0 to 4, here 1 to 5; JSON lines or Parquet.

A mark counts where the project has a dimension of its name (helpfulness, correctness, coherence, complexity,
verbosity); else helpfulness stands for quality and coherence for consistency. HelpSteer2's preferences (`response_1`,
`response_2`, `preference_strength` from -3, the first is much better, to 3) are read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, any_rows, text_of
from trueline.feedback.formats.marks import dimension_of_preference, named, pair, rated, whole
from trueline.records import Annotator, Exchange, Message, Prompt, Role

CROWD = Annotator("HelpSteer crowd")
NAMES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
SOURCE = "import:helpsteer"
_TURN = re.compile(r"<extra_id_1>(User|Assistant)\n")


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return any_rows(path, lambda row: _parse(row, dimensions))


def _parse(row: Any, dimensions: tuple[str, ...]) -> Item:
    prompt = _prompt(text_of(row, "prompt"))
    if "preference_strength" in row:
        strength = whole(row["preference_strength"], "preference_strength", -3, 3)
        answers = (text_of(row, "response_1"), text_of(row, "response_2"))
        return pair(prompt, *answers, strength, dimension_of_preference(dimensions), CROWD, SOURCE)
    exchange = Exchange.of(prompt, text_of(row, "response"), SOURCE)
    marks: dict[str, int | None] = {n: whole(row[n], n, 0, 4) + 1 for n in NAMES if row.get(n) is not None}
    return Item((exchange,), rated(exchange, named(marks, dimensions), CROWD))


def _prompt(text: str) -> Prompt:
    """HelpSteer2 writes later turns as `<extra_id_1>Assistant`, `<extra_id_1>User` in the prompt's text."""
    parts = _TURN.split(text)
    if len(parts) == 1:
        return Prompt.from_user(text)
    roles: dict[str, Role] = {"User": "user", "Assistant": "assistant"}
    turns = [("User", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    messages = [Message(roles[role], said.strip()) for role, said in turns]
    while messages and messages[-1].role == "assistant" and not messages[-1].content:
        messages.pop()
    if messages[-1].role != "user" or not all(m.content for m in messages):
        raise BadRow("prompt is not a dialogue that ends with a User turn")
    return Prompt(tuple(messages))
