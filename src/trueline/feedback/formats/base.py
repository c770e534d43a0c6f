"""What a format's reader gives: items and row errors, one by one. Files are streamed: a row is held, never the file."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from trueline.errors import InputError
from trueline.records import Comparison, Exchange, Message, Prompt, Rating

LONGEST = 16 << 20  # bytes of a row; what is longer is no row but a file without line ends, or an array left open
CHUNK = 1 << 18
MARK = b"\xef\xbb\xbf"
SPACE = " \t\r\n"
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class RowError:
    """A row that cannot be used: where, and why. `row` counts lines, or the rows of a JSON array, from 1.

    place: how many bytes of the file are read so far.
    """

    file: str
    row: int
    why: str
    unit: str = "line"
    place: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.row}: {self.why}"


@dataclass(frozen=True)
class Item:
    """What one row holds; `row`, `unit` and `place` as in RowError."""

    exchanges: tuple[Exchange, ...] = ()
    ratings: tuple[Rating, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    row: int = 0
    unit: str = "line"
    place: int = field(default=0, compare=False)


class BadRow(ValueError):
    """Raised by a row's parser; becomes a RowError."""


Format = Callable[[Path, tuple[str, ...]], Iterator[Item | RowError]]
Parse = Callable[[Any], Item]


def read_bytes(path: Path) -> bytes:
    """A file's content without a byte-order mark; InputError when missing or empty."""
    with opened(path) as file:
        data = file.read()
    if not data.strip():
        raise is_empty(path)
    return data


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file behind its byte-order mark; InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(len(MARK)) != MARK:
                file.seek(0)
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def is_empty(path: Path) -> InputError:
    return InputError(f"{path}: is empty; nothing to import")


@dataclass(frozen=True)
class Line:
    """A line that is not blank: which, counted from 1; how many bytes of the file are read behind it."""

    number: int
    place: int
    raw: bytes


def json_lines(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """Each non-blank line is a JSON object."""
    return (json_line(path, line, parse) for line in lines_of(path))


def lines_of(path: Path) -> Iterator[Line]:
    """InputError where there is none, or one is too long."""
    found = False
    with opened(path) as file:
        for number, raw in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            if len(raw) == LONGEST and not raw.endswith(b"\n"):
                raise InputError(f"{path}, line {number}: is longer than {LONGEST >> 20} MB; is it one row a line?")
            if raw.strip():
                found = True
                yield Line(number, file.tell(), raw)
    if not found:
        raise is_empty(path)


def json_line(path: Path, line: Line, parse: Parse) -> Item | RowError:
    """What one line of `lines_of` holds."""
    return _row(path, line.number, "line", line.place, line.raw, lambda raw: parse(_object(json.loads(raw.decode()))))


def json_array(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """The whole file is a JSON array of objects."""
    with opened(path) as file:
        for number, (row, place) in enumerate(_array_rows(path, file), 1):
            yield _row(path, number, "row", place, row, lambda row: parse(_object(row)))


def json_rows(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """A JSON array or JSON lines, whichever the file is."""
    with opened(path) as file:
        start = file.read(CHUNK).lstrip()[:1]
    return (json_array if start == b"[" else json_lines)(path, parse)


def any_rows(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """Parquet, a JSON array or JSON lines, whichever the file is: for sets that are handed on in all three."""
    return (parquet_rows if is_parquet(path) else json_rows)(path, parse)


def is_parquet(path: Path) -> bool:
    with opened(path) as file:
        return file.read(4) == b"PAR1"


def parquet_rows(path: Path, parse: Parse) -> Iterator[Item | RowError]:
    """Each row of a Parquet file, by the names of its columns."""
    if not is_parquet(path):
        with opened(path) as file:
            if not file.read(CHUNK).strip():
                raise is_empty(path)
        raise InputError(f"{path}: is not a Parquet file; name the format that it has")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(f"{path}: Parquet needs pyarrow; pip install 'trueline[data]'") from error
    try:
        with pq.ParquetFile(path, buffer_size=CHUNK) as file:
            total, size, number = file.metadata.num_rows, path.stat().st_size, 0
            for batch in file.iter_batches(batch_size=100, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    place = size * number // total
                    yield _row(path, number, "row", place, row, lambda row: parse(_object(row)))
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{path}: not a usable Parquet file ({why}); it may be cut, fetch it again") from error
    if not number:
        raise is_empty(path)


def _row(path: Path, number: int, unit: str, place: int, raw: Any, parse: Callable[[Any], Item]) -> Item | RowError:
    try:
        return replace(parse(raw), row=number, unit=unit, place=place)
    except BadRow as error:
        why = str(error)
    except UnicodeDecodeError:
        why = "is not UTF-8 text; save the file as UTF-8"
    except json.JSONDecodeError as error:
        why = f"is not valid JSON ({error.msg} at column {error.colno})"
    except (ValueError, RecursionError) as error:
        why = f"cannot be read ({error})"
    return RowError(str(path), number, why, unit, place)


def _array_rows(path: Path, file: BinaryIO) -> Iterator[tuple[Any, int]]:
    """The values of a JSON array with the bytes read so far, each decoded as soon as it is whole."""
    text = _Text(path, file)
    if text.ahead() != "[":
        raise is_empty(path) if text.ahead() == "" else InputError(f"{path}: must be a JSON array of rows")
    text.at += 1
    number = 0
    while text.ahead() != "]" or number:
        number += 1
        yield text.value(number), file.tell()
        match text.ahead():
            case ",":
                text.at += 1
            case "]":
                break
            case _:
                raise text.broken(number, "a comma or the array's end is missing")
    text.at += 1
    if text.ahead():
        raise text.broken(number, "there is more after the array's end")


class _Text:
    """A window on a file's text that moves on; `at` is where it is read next."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.decode = codecs.getincrementaldecoder("utf-8")().decode
        self.buffer, self.at, self.ended = "", 0, False

    def ahead(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self.at < len(self.buffer):
                if self.buffer[self.at] not in SPACE:
                    return self.buffer[self.at]
                self.at += 1
            if self.ended:
                return ""
            self.more(CHUNK)

    def value(self, number: int) -> Any:
        """The next value. What seems wrong may only be cut: then twice as much is looked at, up to LONGEST."""
        self.ahead()
        size = CHUNK
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.buffer, self.at)
                if end < len(self.buffer) or self.ended:  # a number may go on behind the window
                    self.at = end
                    return value
            except (ValueError, RecursionError) as error:
                if self.ended or isinstance(error, RecursionError) or len(self.buffer) - self.at > LONGEST:
                    raise self.broken(number, getattr(error, "msg", str(error))) from error
            self.more(size)
            size = min(2 * size, LONGEST)

    def more(self, size: int) -> None:
        data = self.file.read(size)
        self.ended = not data
        try:
            self.buffer = self.buffer[self.at :] + self.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: is not UTF-8 text ({error.reason}); save the file as UTF-8") from error
        self.at = 0

    def broken(self, number: int, why: str) -> InputError:
        return InputError(
            f"{self.path}, row {number}: not valid JSON ({why}); the file may be cut, fetch and import it again"
        )


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise BadRow("is not an object with named fields")
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise BadRow("holds half a character (a lone surrogate), which cannot be stored; mend the text") from None
    return value


def text_of(row: Any, name: str) -> str:
    """A field that must be text and not blank."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(f"has no {name}" if value in (None, "") else f"{name} must be text that is not blank")
    return value


def turns_of(messages: Any) -> tuple[Message, ...]:
    """A list of turns that waits for an answer."""
    if not isinstance(messages, list) or not messages:
        raise BadRow("messages must be a list of turns")
    found = []
    for m in messages:
        if not isinstance(m, dict) or m.get("role") not in ROLES or not isinstance(m.get("content"), str):
            raise BadRow("a message needs a role (system, user or assistant) and a content")
        found.append(Message(m["role"], m["content"]))
    if found[-1].role != "user" or not found[-1].content.strip():
        raise BadRow("messages must end with a user's turn that is not blank")
    return tuple(found)
