"""Our own JSON lines and CSV.

A rating:      prompt (or messages), completion, and ratings {dimension: 1..5} (in CSV a column a dimension), annotator
A comparison:  prompt (or messages), a, b, preference -3 (A much better) .. 3, dimension, annotator, both_bad
A prompt:      prompt (or messages) alone, or with a completion that nobody has rated

What an export adds, so that it comes back as it was: prompt_meta {...}, simulated (the annotator), and for each answer
who wrote it and how it ended: completion_source, completion_finish, a_source, a_finish, b_source, b_finish.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.feedback.formats.base import (
    LONGEST,
    BadRow,
    Item,
    RowError,
    is_empty,
    json_lines,
    opened,
    parquet_rows,
    text_of,
    turns_of,
)
from trueline.feedback.labelling.records import OVERALL
from trueline.records import Annotator, Comparison, Exchange, Prompt, Rating

FINISHES = ("stop", "length")
OTHER_NAMES = ("completions", "answer", "answers", "response", "responses", "output", "outputs", "chosen", "rejected")
COLUMNS = ("prompt", "completion", "a", "b", "preference", "dimension", "annotator", "both_bad")


def read_jsonl(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    return json_lines(path, lambda row: _parse({k: v for k, v in row.items() if v is not None}, dimensions))


def read_parquet(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    """Columns as the fields of our JSON lines; a list of turns and a set of ratings are nested columns."""
    return parquet_rows(path, lambda row: _parse({k: v for k, v in row.items() if v is not None}, dimensions))


def read_csv(path: Path, dimensions: tuple[str, ...]) -> Iterator[Item | RowError]:
    """Columns by name in the first line; an empty cell is "not answered"."""
    with opened(path) as file:
        reader = csv.DictReader(_lines(path, io.TextIOWrapper(file, encoding="utf-8", newline="")))
        try:
            if not (names := list(reader.fieldnames or ())) or not any(n.strip() for n in names):
                raise is_empty(path)
            _check_header(path, names, (*COLUMNS, *dimensions))
            for cells in reader:
                try:
                    if None in cells:
                        raise BadRow("has more cells than the first line has columns")
                    row = _parse(_typed(cells, dimensions), dimensions)
                    yield replace(row, row=reader.line_num, place=file.tell())
                except BadRow as error:
                    yield RowError(str(path), reader.line_num, str(error), place=file.tell())
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: is not UTF-8 text ({error.reason}); save the file as UTF-8") from error
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num + 1}: {error}; is a quotation mark left open?") from error


def _lines(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    """Lines as csv wants them: with their ends."""
    number = 0
    while line := text.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise InputError(f"{path}, line {number}: is longer than {LONGEST >> 20} MB; is it one row a line?")
        yield line


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
    annotator = _annotator(row)
    _check_labels(row, dimensions)
    if "a" in row or "b" in row:
        return _comparison(row, prompt, annotator, dimensions)
    if "completion" not in row:
        if row.get("ratings"):
            raise BadRow("has ratings but no completion")
        if lost := [name for name in OTHER_NAMES if row.get(name)]:
            raise BadRow(f"has no completion, a or b, but {lost[0]}; call an answer completion, or two of them a and b")
        return Item(prompts=(prompt,))
    exchange = _answer(row, prompt, "completion")
    ratings = row.get("ratings") or {}
    if not isinstance(ratings, dict):
        raise BadRow('ratings must name dimensions, such as {"quality": 4}')
    found = [Rating(exchange.completion.id, _known(d, dimensions), _mark(d, v), annotator) for d, v in ratings.items()]
    return Item((exchange,), tuple(found))


def _annotator(row: Any) -> Annotator:
    person, simulated = row.get("annotator", "unnamed"), row.get("simulated", False)
    if not isinstance(person, str) or not person.strip():
        raise BadRow("annotator must be a name")
    if type(simulated) is not bool:
        raise BadRow("simulated must be true or false")
    return Annotator(person.strip(), simulated)


def _answer(row: Any, prompt: Prompt, name: str) -> Exchange:
    """An answer of the own policy may be empty: that is what it said."""
    source, finish = row.get(f"{name}_source", "import:own"), row.get(f"{name}_finish", "stop")
    if not isinstance(source, str) or len(source) > 200:
        raise BadRow(f"{name}_source must be a text of at most 200 characters")
    if finish not in FINISHES:
        raise BadRow(f"{name}_finish is {finish!r}, must be stop or length")
    written = f"{name}_source" in row and isinstance(row.get(name), str)
    return Exchange.of(prompt, row[name] if written else text_of(row, name), source, finish)


def _check_labels(row: Any, dimensions: tuple[str, ...]) -> None:
    """A label that stands where nothing reads it would be lost without a word."""
    if misplaced := [d for d in dimensions if d in row]:
        raise BadRow(f'{misplaced[0]} must stand in ratings, such as {{"{misplaced[0]}": 4}}')
    if "ratings" in row and ("a" in row or "b" in row):
        raise BadRow("has ratings beside a and b; rate a completion in a row of its own")
    if "preference" in row and not ("a" in row or "b" in row):
        raise BadRow("has a preference but no a and b")


def _comparison(row: Any, prompt: Prompt, annotator: Annotator, dimensions: tuple[str, ...]) -> Item:
    a, b = (_answer(row, prompt, side) for side in ("a", "b"))
    if a.completion.id == b.completion.id:
        raise BadRow("a and b are the same text")
    preference, bad = row.get("preference"), row.get("both_bad", False)
    if type(preference) is not int or not -3 <= preference <= 3:
        raise BadRow(f"preference is {preference!r}, must be -3 (A much better) to 3 (B much better)")
    if type(bad) is not bool:
        raise BadRow("both_bad must be true or false")
    dimension = _known(text_of(row, "dimension"), (*dimensions, OVERALL))
    return Item((a, b), (), (Comparison(a.completion.id, b.completion.id, dimension, preference, annotator, bad),))


def _prompt(row: Any) -> Prompt:
    meta = row.get("prompt_meta", {})
    if not isinstance(meta, dict):
        raise BadRow('prompt_meta must be an object, such as {"split": "train"}')
    if "messages" not in row:
        return Prompt.from_user(text_of(row, "prompt"), meta)
    return Prompt(turns_of(row["messages"]), meta)


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
