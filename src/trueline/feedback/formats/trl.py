"""TRL's data sets, as texts or as lists of turns; Parquet, a JSON array or JSON lines.

A preference:  chosen and rejected, the prompt apart or as what both begin with; "better" (2 of 3) without a strength
A mark:        prompt, completion and label (KTO's): 5 for true and 1 for false, where no value says it
A turn:        messages that end with an assistant's: an answer that nobody has judged
A prompt:      prompt alone, a list of turns

What our export adds comes back: strength, value, dimension, both_bad, annotator, simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueline.feedback.formats.base import BadRow, Item, RowError, any_rows, text_of, turns_of
from trueline.feedback.formats.marks import STRENGTH, dimension_of_preference, prompt_of, whole
from trueline.feedback.labelling.records import OVERALL
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

SOURCE = "import:trl"
GOOD, BAD = 5, 1


def read(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return any_rows(path, lambda row: _parse({k: v for k, v in row.items() if v is not None}, dimensions))


def _parse(row: Any, dimensions: tuple[str, ...]) -> Item:
    if "chosen" in row or "rejected" in row:
        return _pair(row, dimensions)
    if "messages" in row:
        return _turns(row)
    if not isinstance(row.get("prompt"), list) and "label" not in row:
        raise BadRow("has no chosen and rejected, label, messages or list of turns; is it one of our own lines?")
    prompt = prompt_of(row.get("prompt"), "prompt")
    if "completion" not in row:
        return Item(prompts=(prompt,))
    exchange = Exchange.of(prompt, _answer(row["completion"], "completion"), SOURCE)
    if "label" not in row:
        return Item((exchange,))
    if type(row["label"]) is not bool:
        raise BadRow("label must be true or false")
    value = whole(row.get("value", GOOD if row["label"] else BAD), "value", 1, 5)
    dimension = _dimension(row, dimensions, dimensions)
    return Item((exchange,), (Rating(exchange.completion.id, dimension, value, _annotator(row)),))


def _pair(row: Any, dimensions: tuple[str, ...]) -> Item:
    chosen, rejected = (_answer(row.get(name), name) for name in ("chosen", "rejected"))
    if chosen == rejected:
        raise BadRow("chosen and rejected are the same text")
    a, b = (Exchange.of(_asked(row), text, SOURCE) for text in (chosen, rejected))
    strength = whole(row.get("strength", STRENGTH), "strength", 1, 3)
    bad = row.get("both_bad", False)
    if type(bad) is not bool:
        raise BadRow("both_bad must be true or false")
    dimension = _dimension(row, dimensions, (*dimensions, OVERALL))
    said = Comparison(a.completion.id, b.completion.id, dimension, -strength, _annotator(row), bad)
    return Item((a, b), (), (said,))


def _asked(row: Any) -> Prompt:
    if "prompt" in row:
        return prompt_of(row["prompt"], "prompt")
    if not isinstance(row["chosen"], list) or not isinstance(row["rejected"], list):
        raise BadRow("has no prompt")
    prompt, other = (Prompt(turns_of(row[name][:-1])) for name in ("chosen", "rejected"))
    if prompt != other:
        raise BadRow("chosen and rejected begin with different turns")
    return prompt


def _turns(row: Any) -> Item:
    if not isinstance(row["messages"], list):
        raise BadRow("messages must be a list of turns")
    answer = _answer(row["messages"], "messages")
    return Item((Exchange.of(Prompt(turns_of(row["messages"][:-1])), answer, SOURCE),))


def _answer(value: Any, name: str) -> str:
    """A text, or the last of a list of turns, which may be empty: then that was the answer."""
    if not isinstance(value, list):
        return text_of({name: value}, name)
    last = value[-1] if value else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
        raise BadRow(f"{name} must end with an assistant's turn")
    return str(last["content"])


def _dimension(row: Any, dimensions: tuple[str, ...], allowed: tuple[str, ...]) -> str:
    found = row.get("dimension") or dimension_of_preference(dimensions)
    if found not in allowed:
        raise BadRow(f"dimension {found!r} is not one of the project's: {', '.join(dimensions)}")
    return str(found)


def _annotator(row: Any) -> Annotator:
    person, simulated = row.get("annotator", "unnamed"), row.get("simulated", False)
    if not isinstance(person, str) or not person.strip():
        raise BadRow("annotator must be a name")
    if type(simulated) is not bool:
        raise BadRow("simulated must be true or false")
    return Annotator(person.strip(), simulated)
