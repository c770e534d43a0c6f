"""Files of prompts and answers that are read, widened by scores and written again: JSON lines, CSV and Parquet.

A piece of some rows at a time, so that a file may be larger than memory, and that pieces may be read and widened
somewhere else than they are cut and written. Nothing else in a row changes, but that cells of a CSV which a spreadsheet
would run get an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from trueline.errors import InputError
from trueline.feedback.exporting.writing import harmless
from trueline.feedback.formats.base import BadRow, Item, RowError, json_line, lines_of, opened, turns_of
from trueline.feedback.formats.marks import answer_of, prompt_of
from trueline.records import Exchange, Prompt

BATCH = 1000
ANSWERS = ("completion", "answer")

Added = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Piece:
    """rows: some rows as they are cut off the file; share: how much of the file lies behind them."""

    rows: Any
    share: float


@dataclass(frozen=True)
class Batch:
    """found: for each row what is to be scored, or why it cannot be; kept: the rows as the file has them, None for one
    that could not be read at all.
    """

    found: list[Item | RowError]
    kept: list[Any]


Judged = Mapping[str, Mapping[str, float]]


class RowFile(Protocol):
    """added: what every row gets: "scores" and, where known, "std", each in which dimensions. `widen` is given that for
    each row of a batch, or None; `write` gets what it made of every piece, in order.
    """

    def pieces(self) -> Iterator[Piece]: ...
    def read(self, piece: Piece) -> Batch: ...
    def widen(self, batch: Batch, judged: Sequence[Judged | None]) -> Any: ...
    def write(self, handle: BinaryIO, widened: Iterable[Any]) -> None: ...


def open_rows(path: Path, added: Added) -> RowFile:
    """By the name's ending. InputError: another ending, or a file that cannot be read."""
    if path.suffix not in FILES:
        raise InputError(f"{path}: its name must end in {', '.join(FILES)}, which says how it is read")
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    return FILES[path.suffix](path, added)


class JsonLines:
    def __init__(self, path: Path, added: Added) -> None:
        self.path, self.added = path, added

    def pieces(self) -> Iterator[Piece]:
        size = self.path.stat().st_size
        lines = lines_of(self.path)
        while some := list(islice(lines, BATCH)):
            yield Piece(some, some[-1].place / size)

    def read(self, piece: Piece) -> Batch:
        found: list[Item | RowError] = []
        kept: list[Any] = []
        for line in piece.rows:
            row: list[Any] = []

            def parse(value: Any, row: list[Any] = row) -> Item:
                row.append(value)
                return to_score(value)

            found.append(json_line(self.path, line, parse))
            kept.append(row[0] if row else None)
            _refuse_taken(f"{self.path}, line {line.number}", kept[-1] or (), self.added)
        return Batch(found, kept)

    def widen(self, batch: Batch, judged: Sequence[Judged | None]) -> bytes:
        rows = zip(batch.kept, judged, strict=True)
        whole = [{**row, **(score or dict.fromkeys(self.added))} for row, score in rows if row is not None]
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in whole)

    def write(self, handle: BinaryIO, widened: Iterable[bytes]) -> None:
        handle.writelines(widened)


class Csv:
    """The fields of `added` become columns such as score_quality and std_quality."""

    def __init__(self, path: Path, added: Added) -> None:
        self.path, self.added = path, added
        self.names = self._header()

    def pieces(self) -> Iterator[Piece]:
        size = self.path.stat().st_size
        rows = islice(self._cells(), 1, None)
        while some := list(islice(rows, BATCH)):
            yield Piece(some, some[-1][1] / size)

    def read(self, piece: Piece) -> Batch:
        found: list[Item | RowError] = []
        kept: list[list[str] | None] = []
        for number, _, cells in piece.rows:
            if len(cells) > len(self.names):
                found.append(RowError(str(self.path), number, "has more cells than the first line has columns"))
                kept.append(None)
            elif cells:
                whole = cells + [""] * (len(self.names) - len(cells))
                found.append(_found(self.path, number, "line", dict(zip(self.names, whole, strict=True))))
                kept.append(whole)
        return Batch(found, kept)

    def widen(self, batch: Batch, judged: Sequence[Judged | None]) -> bytes:
        rows = zip(batch.kept, judged, strict=True)
        return _csv(
            [*map(_inert, cells), *(score[k][d] if score else "" for k, ds in self.added.items() for d in ds)]
            for cells, score in rows
            if cells is not None
        )

    def write(self, handle: BinaryIO, widened: Iterable[bytes]) -> None:
        handle.write(_csv([[*map(_inert, self.names), *_columns(self.added)]]))
        handle.writelines(widened)

    def _header(self) -> list[str]:
        names = next(self._cells(), (0, 0, []))[2]
        _check_columns(f"{self.path}, line 1", names, _columns(self.added))
        return names

    def _cells(self) -> Iterator[tuple[int, int, list[str]]]:
        """For every row the number of its last line, the bytes read so far, and its cells."""
        with opened(self.path) as file:
            reader = csv.reader(io.TextIOWrapper(file, "utf-8", newline=""), strict=True)
            try:
                for cells in reader:
                    yield reader.line_num, file.tell(), cells
            except UnicodeDecodeError as error:
                raise InputError(f"{self.path}: is not UTF-8 text ({error.reason}); save the file as UTF-8") from error
            except csv.Error as error:
                raise InputError(
                    f"{self.path}, line {reader.line_num + 1}: {error}; is a quotation mark left open?"
                ) from error


class Parquet:
    """The fields of `added` become columns of structs, a number a dimension.

    A piece is only named, by its row group, its first row in there and that row's number in the file: whoever reads it
    reads it from the file, and of the columns only those that are scored.
    """

    def __init__(self, path: Path, added: Added) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise InputError(
                f"{path}: Parquet needs pyarrow, which is not installed; pip install 'trueline[data]'"
            ) from error
        try:
            self.file = pyarrow.parquet.ParquetFile(path)
        except pyarrow.ArrowException as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{path}: not a Parquet file ({first}); write or fetch it again") from error
        self.path, self.added = path, added
        names = self.file.schema_arrow.names
        _check_columns(str(path), names, list(added))
        self.scored = [name for name in names if name in ("prompt", "messages", *ANSWERS)]
        self.at = (-1, 0)  # the row group and the row where `ahead` goes on
        self.ahead: Iterator[Any] = iter(())

    def pieces(self) -> Iterator[Piece]:
        number, total = 0, self.file.metadata.num_rows
        for group in range(self.file.num_row_groups):
            size = self.file.metadata.row_group(group).num_rows
            for first in range(0, size, BATCH):
                behind = min(number + BATCH, number + size - first)
                yield Piece((group, first, number + 1), behind / total)
                number = behind

    def read(self, piece: Piece) -> Batch:
        group, first, number = piece.rows
        if self.at[0] != group or self.at[1] > first:
            self.at, self.ahead = (group, 0), self.file.iter_batches(BATCH, row_groups=[group], columns=self.scored)
        while self.at[1] <= first:
            part = next(self.ahead)
            self.at = (group, self.at[1] + BATCH)
        rows = part.to_pylist()
        return Batch([_found(self.path, number + i, "row", row) for i, row in enumerate(rows)], rows)

    def widen(self, batch: Batch, judged: Sequence[Judged | None]) -> Any:
        """(a StructArray for each of `added`)"""
        import pyarrow as pa

        return [pa.array([s and s[name] for s in judged], kind) for name, kind in self._kinds().items()]

    def write(self, handle: BinaryIO, widened: Iterable[Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        schema = self.file.schema_arrow
        for name, kind in self._kinds().items():
            schema = schema.append(pa.field(name, kind))
        groups = range(self.file.num_row_groups)
        rows = chain.from_iterable(self.file.iter_batches(BATCH, row_groups=[group]) for group in groups)
        with pyarrow.parquet.ParquetWriter(handle, schema) as writer:
            for more in widened:
                writer.write_batch(pa.RecordBatch.from_arrays([*next(rows).columns, *more], schema=schema))

    def _kinds(self) -> dict[str, Any]:
        import pyarrow as pa

        return {name: pa.struct([(d, pa.float64()) for d in dimensions]) for name, dimensions in self.added.items()}


FILES: dict[str, type[JsonLines] | type[Csv] | type[Parquet]] = {
    ".jsonl": JsonLines,
    ".csv": Csv,
    ".parquet": Parquet,
}


def to_score(row: Mapping[str, Any]) -> Item:
    """prompt (or messages) and completion, or answer; what is empty counts as absent."""
    given = {name: value for name, value in row.items() if value not in (None, "")}
    names = [name for name in ANSWERS if name in given]
    if len(names) > 1:
        raise BadRow("has both completion and answer; which one is to be scored?")
    turns = given.get("messages")
    prompt = prompt_of(given.get("prompt"), "prompt") if turns is None else Prompt(turns_of(turns))
    name = names[0] if names else ANSWERS[0]
    return Item((Exchange.of(prompt, answer_of(given.get(name), name)),))


def _found(path: Path, number: int, unit: str, row: Mapping[str, Any]) -> Item | RowError:
    try:
        return replace(to_score(row), row=number, unit=unit)
    except BadRow as error:
        return RowError(str(path), number, str(error), unit)


def _inert(cell: str) -> str:
    """A number such as -2 is text in a CSV, and no formula."""
    try:
        float(cell)
    except ValueError:
        return str(harmless(cell))
    return cell


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _columns(added: Added) -> list[str]:
    return [f"{name.removesuffix('s')}_{d}" for name, dimensions in added.items() for d in dimensions]


def _check_columns(where: str, names: Sequence[str], added: Iterable[str]) -> None:
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise InputError(f"{where}: has the column {twice[0]!r} twice; leave one out")
    _refuse_taken(where, names, added)
    for wanted in (("prompt", "messages"), ANSWERS):
        if not set(wanted) & set(names):
            raise InputError(f"{where}: no column {' or '.join(wanted)}; it has {', '.join(names) or 'none'}")


def _refuse_taken(where: str, names: Iterable[str], added: Iterable[str]) -> None:
    if taken := sorted({*names} & {*added}):
        raise InputError(f"{where}: has {taken[0]!r} already, which would be lost; rename it in the file")
