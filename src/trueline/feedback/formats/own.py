"""Our own JSON lines and CSV.

A rating:      prompt (or messages), completion, and ratings {dimension: 1..5} (in CSV a column a dimension), annotator
A comparison:  prompt (or messages), a, b, preference -3 (A much better) .. 3, dimension, annotator, both_bad
A prompt:      prompt (or messages) alone, or with a completion that nobody has rated
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.feedback.formats.base import BadRow, Item, RowError, json_lines, read_bytes, text_of
from trueline.records import Annotator, Comparison, Exchange, Message, Prompt, Rating

ROLES = ("system", "user", "assistant")
COLUMNS = ("prompt", "completion", "a", "b", "preference", "dimension", "annotator", "both_bad")


def read_jsonl(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_lines(path, lambda row: _parse({k: v for k, v in row.items() if v is not None}, dimensions))


def read_csv(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    """Columns by name in the first line; an empty cell is "not answered"."""
    try:
        text = read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error.reason}); save the file as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    _check_header(path, list(reader.fieldnames or ()), (*COLUMNS, *dimensions))
    while True:
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if None in cells:
                raise BadRow("has more cells than the first line has columns")
            yield replace(_parse(_typed(cells, dimensions), dimensions), row=reader.line_num)
        except BadRow as error:
            yield RowError(str(path), reader.line_num, str(error))
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num + 1}: {error}; is a quotation mark left open?") from error


def _check_header(path: Path, names: list[str], known: tuple[str, ...]) -> None:
    for i, name in enumerate(names):
        if name not in known:
            raise InputError(f"{path}, line 1: column {name!r} is not known; there is {', '.join(known)}")
        if name in names[:i]:
            raise InputError(f"{path}, line 1: has the column {name!r} twice; leave one out")


def _typed(cells: dict[str, str | None], dimensions: tuple[str, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {k: v for k, v in cells.items() if v and k not in dimensions}
    ratings = {d: _number(value, d) for d in dimensions if (value := cells.get(d))}
    if ratings:
        row["ratings"] = ratings
    if "preference" in row:
        row["preference"] = _number(row["preference"], "preference")
    if "both_bad" in row:
        row["both_bad"] = row["both_bad"].strip().lower() in {"1", "true", "yes"}
    return row


def _number(text: str, name: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise BadRow(f"{name} is {text.strip()!r}, must be a whole number") from None


def _parse(row: Any, dimensions: tuple[str, ...]) -> Item:
    prompt = _prompt(row)
    person = row.get("annotator", "unnamed")
    if not isinstance(person, str) or not person.strip():
        raise BadRow("annotator must be a name")
    annotator = Annotator(person.strip())
    _check_labels(row, dimensions)
    if "a" in row or "b" in row:
        return _comparison(row, prompt, annotator, dimensions)
    if "completion" not in row:
        if row.get("ratings"):
            raise BadRow("has ratings but no completion")
        return Item(prompts=(prompt,))
    exchange = Exchange.of(prompt, text_of(row, "completion"), "import:own")
    ratings = row.get("ratings") or {}
    if not isinstance(ratings, dict):
        raise BadRow('ratings must name dimensions, such as {"quality": 4}')
    found = [Rating(exchange.completion.id, _known(d, dimensions), _mark(d, v), annotator) for d, v in ratings.items()]
    return Item((exchange,), tuple(found))


def _check_labels(row: Any, dimensions: tuple[str, ...]) -> None:
    """A label that stands where nothing reads it would be lost without a word."""
    if misplaced := [d for d in dimensions if d in row]:
        raise BadRow(f'{misplaced[0]} must stand in ratings, such as {{"{misplaced[0]}": 4}}')
    if "ratings" in row and ("a" in row or "b" in row):
        raise BadRow("has ratings beside a and b; rate a completion in a row of its own")
    if "preference" in row and not ("a" in row or "b" in row):
        raise BadRow("has a preference but no a and b")


def _comparison(row: Any, prompt: Prompt, annotator: Annotator, dimensions: tuple[str, ...]) -> Item:
    a, b = (Exchange.of(prompt, text_of(row, side), "import:own") for side in ("a", "b"))
    if a.completion.id == b.completion.id:
        raise BadRow("a and b are the same text")
    preference, bad = row.get("preference"), row.get("both_bad", False)
    if type(preference) is not int or not -3 <= preference <= 3:
        raise BadRow(f"preference is {preference!r}, must be -3 (A much better) to 3 (B much better)")
    if type(bad) is not bool:
        raise BadRow("both_bad must be true or false")
    dimension = _known(text_of(row, "dimension"), dimensions)
    return Item((a, b), (), (Comparison(a.completion.id, b.completion.id, dimension, preference, annotator, bad),))


def _prompt(row: Any) -> Prompt:
    if "messages" not in row:
        return Prompt.from_user(text_of(row, "prompt"))
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        raise BadRow("messages must be a list of turns")
    found = []
    for m in messages:
        if not isinstance(m, dict) or m.get("role") not in ROLES or not isinstance(m.get("content"), str):
            raise BadRow("a message needs a role (system, user or assistant) and a content")
        found.append(Message(m["role"], m["content"]))
    if found[-1].role != "user" or not found[-1].content.strip():
        raise BadRow("messages must end with a user's turn that is not blank")
    return Prompt(tuple(found))


def _known(dimension: str, dimensions: tuple[str, ...]) -> str:
    if dimension not in dimensions:
        raise BadRow(f"dimension {dimension!r} is not one of the project's: {', '.join(dimensions)}")
    return dimension


def _mark(dimension: str, value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= 5:
        raise BadRow(f"{dimension} is {value!r}, must be 1 to 5 or empty")
    return value
