"""What a format's reader gives: items and row errors, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trueline.errors import InputError
from trueline.records import Comparison, Exchange, Prompt, Rating


@dataclass(frozen=True)
class RowError:
    """A row that cannot be used: where, and why. `row` counts lines, or the rows of a JSON array, from 1."""

    file: str
    row: int
    why: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.row}: {self.why}"


@dataclass(frozen=True)
class Item:
    """What one row holds; `row` and `unit` as in RowError."""

    exchanges: tuple[Exchange, ...] = ()
    ratings: tuple[Rating, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    row: int = 0
    unit: str = "line"


class BadRow(ValueError):
    """Raised by a row's parser; becomes a RowError."""


Format = Callable[[Path, tuple[str, ...]], Iterator[Item | RowError]]
Parse = Callable[[Any], Item]


def read_bytes(path: Path) -> bytes:
    """A file's content without a byte-order mark; InputError when missing or empty."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise InputError(f"{path}: is empty; nothing to import")
    return data


def json_lines(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """Each non-blank line is a JSON object."""
    for number, raw in enumerate(read_bytes(path).split(b"\n"), 1):
        if raw.strip():
            yield _row(path, number, "line", lambda raw=raw: parse(_object(json.loads(raw.decode("utf-8")))))  # type: ignore[misc]


def json_array(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """The whole file is a JSON array of objects."""
    try:
        rows = json.loads(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); the file may be cut, fetch it again") from error
    if not isinstance(rows, list):
        raise InputError(f"{path}: must be a JSON array of rows")
    for number, row in enumerate(rows, 1):
        yield _row(path, number, "row", lambda row=row: parse(_object(row)))  # type: ignore[misc]


def _row(path: Path, number: int, unit: str, parse: Callable[[], Item]) -> Item | RowError:
    try:
        return replace(parse(), row=number, unit=unit)
    except BadRow as error:
        return RowError(str(path), number, str(error), unit)
    except UnicodeDecodeError:
        return RowError(str(path), number, "is not UTF-8 text; save the file as UTF-8", unit)
    except json.JSONDecodeError as error:
        return RowError(str(path), number, f"is not valid JSON ({error.msg} at column {error.colno})", unit)
    except (ValueError, RecursionError) as error:
        return RowError(str(path), number, f"cannot be read ({error})", unit)


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise BadRow("is not an object with named fields")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRow("holds half a character (a lone surrogate), which cannot be stored; mend the text") from None
    return value


def text_of(row: Any, name: str) -> str:
    """A field that must be text and not blank."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(f"has no {name}" if value in (None, "") else f"{name} must be text that is not blank")
    return value
