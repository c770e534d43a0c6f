"""Files written row by row that are there whole or not at all; CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from trueline.durable import PENDING
from trueline.errors import InputError

# OWASP, "CSV injection": what begins so may be run by a spreadsheet that opens the file.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Written beside, synchronised and renamed at the end; an error leaves what was there."""
    pending = path.with_name(PENDING + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pending.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(pending, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another place") from error
    finally:
        with suppress(OSError):  # its folder may be no folder
            pending.unlink(missing_ok=True)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    with whole_file(path) as file:
        return sum(1 for row in rows if file.write(json.dumps(row, ensure_ascii=False) + "\n"))


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Text cells that a spreadsheet would run get an apostrophe in front; numbers stay as they are."""
    names = list(columns)
    with whole_file(path) as file:
        writer = csv.writer(file)
        writer.writerow([harmless(n) for n in names])
        return sum(1 for row in rows if writer.writerow([harmless(row.get(name)) for name in names]))


def harmless(cell: Any) -> Any:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str) and cell.startswith(FORMULA):
        return f"'{cell}"
    return cell
