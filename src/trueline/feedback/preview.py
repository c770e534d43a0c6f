"""A file before it is imported: its first rows as people would see them, and what format it seems to have."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.feedback.formats import FORMATS, Item, RowError
from trueline.feedback.importing import reader
from trueline.feedback.screening.language import language_of
from trueline.feedback.screening.personal import personal_in
from trueline.records import Exchange, Prompt

ROWS = 20


@dataclass(frozen=True)
class Preview:
    """The rows that can be used and those that cannot, of the first so many; more: the file goes on behind them."""

    format: str
    items: tuple[Item, ...]
    errors: tuple[RowError, ...]
    more: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "rows": [_shown(item) for item in self.items],
            "errors": [{"row": e.row, "unit": e.unit, "why": e.why} for e in self.errors],
            "more": self.more,
        }


def preview(path: Path, format_name: str, dimensions: tuple[str, ...], rows: int = ROWS) -> Preview:
    """Writes nothing. InputError: an unknown format, a file of no use."""
    found = list(islice(reader(format_name)(path, dimensions), rows + 1))
    items = tuple(x for x in found[:rows] if isinstance(x, Item))
    return Preview(format_name, items, tuple(x for x in found[:rows] if isinstance(x, RowError)), len(found) > rows)


def detect(path: Path, dimensions: tuple[str, ...], rows: int = ROWS) -> str:
    """The format that reads most of the first rows, at least half of them.

    InputError names the nearest one and what it says of the first row.
    """
    best, complaint = (0, ""), ""
    for name in FORMATS:
        try:
            seen = preview(path, name, dimensions, rows)
        except InputError as error:
            complaint = complaint or str(error)
            continue
        if len(seen.items) >= max(1, len(seen.errors)) and len(seen.items) > best[0]:
            best = (len(seen.items), name)
        if seen.errors and name in ("jsonl", "csv", "parquet"):
            complaint = f"read as {name}: {seen.errors[0]}"
    if best[1]:
        return best[1]
    if not path.exists() or "is empty" in complaint:
        raise InputError(complaint)
    raise InputError(f"{path}: is in none of the formats {', '.join(FORMATS)} ({complaint})")


def _shown(item: Item) -> dict[str, Any]:
    """Texts once each, labels by the place of their answer."""
    prompts = [*item.prompts, *(e.prompt for e in item.exchanges)]
    answers: dict[str, Exchange] = {e.completion.id: e for e in item.exchanges}
    place = {i: n for n, i in enumerate(answers)}
    return {
        "row": item.row,
        "unit": item.unit,
        **_prompt(prompts[0]),
        "answers": [{"text": e.completion.text, "personal": _places(e.completion.text)} for e in answers.values()],
        "ratings": [
            {
                "answer": place[r.completion_id],
                "dimension": r.dimension,
                "value": r.value,
                "annotator": r.annotator.label,
            }
            for r in item.ratings
        ],
        "comparisons": [
            {
                "a": place[c.a_id],
                "b": place[c.b_id],
                "dimension": c.dimension,
                "preference": c.preference,
                "both_bad": c.both_bad,
                "annotator": c.annotator.label,
            }
            for c in item.comparisons
        ],
    }


def _prompt(prompt: Prompt) -> dict[str, Any]:
    messages = [{"role": m.role, "content": m.content, "personal": _places(m.content)} for m in prompt.messages]
    return {"messages": messages, "language": language_of(prompt.messages[-1].content)}


def _places(text: str) -> list[dict[str, Any]]:
    return [vars(found) for found in personal_in(text)]
