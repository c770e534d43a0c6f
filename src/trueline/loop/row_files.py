"""Files of prompts and answers that are read, widened by scores and written again: JSON lines, CSV and Parquet.

A batch of rows at a time, so that a file may be larger than memory. Nothing else in a row changes, but that cells of a
CSV which a spreadsheet would run get an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from trueline.errors import InputError
from trueline.feedback.exporting.writing import harmless
from trueline.feedback.formats.base import BadRow, Item, RowError, json_lines, opened, turns_of
from trueline.feedback.formats.marks import answer_of, prompt_of
from trueline.records import Exchange, Prompt

BATCH = 1000
ANSWERS = ("completion", "answer")

Added = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Batch:
    """found: for each row what is to be scored, or why it cannot be; kept: the rows as the file has them, None for one
    that could not be read at all; lost: how many of those; share: how much of the file lies behind.
    """

    found: list[Item | RowError]
    kept: Any
    lost: int
    share: float


Judged = Mapping[str, Mapping[str, float]]
Widened = Iterable[tuple[Batch, list[Judged | None]]]


class RowFile(Protocol):
    """added: what every row gets: "scores" and, where known, "std", each in which dimensions. `write` is given that for
    each row of each batch, or None.
    """

    def batches(self) -> Iterator[Batch]: ...
    def write(self, handle: BinaryIO, judged: Widened) -> None: ...


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

    def batches(self) -> Iterator[Batch]:
        return _batches(self._rows(), self.path)

    def write(self, handle: BinaryIO, judged: Widened) -> None:
        for batch, scores in judged:
            for row, score in zip(batch.kept, scores, strict=True):
                if row is not None:
                    whole = {**row, **(score or dict.fromkeys(self.added))}
                    handle.write(json.dumps(whole, ensure_ascii=False).encode() + b"\n")

    def _rows(self) -> Iterator[tuple[Item | RowError, Any]]:
        read: list[Any] = []

        def parse(row: Any) -> Item:
            read.append(row)
            return to_score(row)

        for found in json_lines(self.path, parse):
            row = read.pop() if read else None
            _refuse_taken(f"{self.path}, line {found.row}", row or (), self.added)
            yield found, row


class Csv:
    """The fields of `added` become columns such as score_quality and std_quality."""

    def __init__(self, path: Path, added: Added) -> None:
        self.path, self.added = path, added
        self.names = self._header()

    def batches(self) -> Iterator[Batch]:
        return _batches(self._rows(), self.path)

    def write(self, handle: BinaryIO, judged: Widened) -> None:
        text = io.TextIOWrapper(handle, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*map(_inert, self.names), *_columns(self.added)])
        for batch, scores in judged:
            for cells, score in zip(batch.kept, scores, strict=True):
                if cells is not None:
                    writer.writerow(
                        [
                            *map(_inert, cells),
                            *(score[k][d] if score else "" for k, ds in self.added.items() for d in ds),
                        ]
                    )
        text.detach()  # flushes it, and leaves the handle to whoever opened it

    def _header(self) -> list[str]:
        names = next(self._cells(), (0, 0, []))[2]
        _check_columns(f"{self.path}, line 1", names, _columns(self.added))
        return names

    def _rows(self) -> Iterator[tuple[Item | RowError, Any]]:
        for number, place, cells in islice(self._cells(), 1, None):
            if len(cells) > len(self.names):
                why = "has more cells than the first line has columns"
                yield RowError(str(self.path), number, why, place=place), None
            elif cells:
                kept = cells + [""] * (len(self.names) - len(cells))
                found = _found(self.path, number, "line", dict(zip(self.names, kept, strict=True)))
                yield replace(found, place=place), kept

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
    """The fields of `added` become columns of structs, a number a dimension."""

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
        _check_columns(str(path), self.file.schema_arrow.names, list(added))

    def batches(self) -> Iterator[Batch]:
        names = [n for n in self.file.schema_arrow.names if n in ("prompt", "messages", *ANSWERS)]
        number, total = 0, self.file.metadata.num_rows
        for part in self.file.iter_batches(BATCH):
            found: list[Item | RowError] = []
            for row in part.select(names).to_pylist():
                number += 1
                found.append(_found(self.path, number, "row", row))
            yield Batch(found, part, 0, number / total)

    def write(self, handle: BinaryIO, judged: Widened) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        kinds = {name: pa.struct([(d, pa.float64()) for d in dimensions]) for name, dimensions in self.added.items()}
        schema = self.file.schema_arrow
        for name, kind in kinds.items():
            schema = schema.append(pa.field(name, kind))
        with pyarrow.parquet.ParquetWriter(handle, schema) as writer:
            for batch, scores in judged:
                more = [pa.array([s and s[name] for s in scores], kind) for name, kind in kinds.items()]
                writer.write_batch(pa.RecordBatch.from_arrays([*batch.kept.columns, *more], schema=schema))


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


def _batches(rows: Iterator[tuple[Item | RowError, Any]], path: Path) -> Iterator[Batch]:
    size = path.stat().st_size
    while some := list(islice(rows, BATCH)):
        kept = [row for _, row in some]
        yield Batch([found for found, _ in some], kept, kept.count(None), some[-1][0].place / size)


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
