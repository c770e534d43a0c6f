"""Files written row by row that are there whole or not at all; CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from trueline import durable
from trueline.errors import InputError

GROUP = 2_000  # rows of Parquet held in memory
# OWASP, "CSV injection": what begins so may be run by a spreadsheet that opens the file.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    def fill(file: TextIO) -> int:
        return sum(1 for row in rows if file.write(json.dumps(row, ensure_ascii=False) + "\n"))

    return _write(path, fill)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Text cells that a spreadsheet would run get an apostrophe in front; numbers stay as they are."""
    names = list(columns)

    def fill(file: TextIO) -> int:
        writer = csv.writer(file)
        writer.writerow([harmless(n) for n in names])
        return sum(1 for row in rows if writer.writerow([harmless(row.get(name)) for name in names]))

    return _write(path, fill)


def write_parquet(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """The columns are those of the first rows. InputError: pyarrow is missing."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError("Parquet needs pyarrow; pip install 'trueline[data]'") from error
    left, counted = iter(rows), 0

    def fill(handle: BinaryIO) -> None:
        nonlocal counted
        first = pa.Table.from_pylist(list(itertools.islice(left, GROUP)))
        with pq.ParquetWriter(handle, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            counted = len(first)
            while group := list(itertools.islice(left, GROUP)):
                writer.write_table(pa.Table.from_pylist(group, first.schema))
                counted += len(group)

    _place(path, fill)
    return counted


def _write(path: Path, fill: Callable[[TextIO], int]) -> int:
    """What `fill` counts, in a file that is there whole or not at all. InputError where it cannot be written."""
    counted = 0

    def as_text(handle: BinaryIO) -> None:
        nonlocal counted
        text = io.TextIOWrapper(handle, "utf-8", newline="")
        counted = fill(text)
        text.detach()  # flushes it, and leaves the handle open

    _place(path, as_text)
    return counted


def _place(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    try:
        durable.fill_file(path, fill)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another place") from error


def harmless(cell: Any) -> Any:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str) and cell.startswith(FORMULA):
        return f"'{cell}"
    return cell
