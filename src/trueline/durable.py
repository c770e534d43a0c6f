"""Writing that survives a crash: fsync the files, rename, fsync the folder, in that order; journals line by line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PENDING = ".pending-"


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_folder(target: Path, fill: Callable[[Path], None]) -> Path:
    """Let `fill` write a folder beside `target`, then put it in place at once, replacing what was there.

    After a crash at any instant `target` is either absent, the old folder or the whole new one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    pending = target.with_name(PENDING + target.name)
    shutil.rmtree(pending, ignore_errors=True)
    pending.mkdir()
    try:
        fill(pending)
    except BaseException:
        shutil.rmtree(pending, ignore_errors=True)
        raise
    folders = [pending]
    for path in sorted(pending.rglob("*")):
        if path.is_dir():
            folders.append(path)
        else:
            _fsync(path)
    for folder in reversed(folders):
        _fsync(folder)
    if target.exists():
        old = target.with_name(PENDING + "old-" + target.name)
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
        os.rename(pending, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(pending, target)
    _fsync(target.parent)
    return target


def fill_file(target: Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Let `fill` write a file beside `target`, then replace `target` at once; where it fails, `target` stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    pending = target.with_name(PENDING + target.name)
    try:
        with open(pending, "wb") as handle:
            fill(handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(pending, target)
    except BaseException:
        pending.unlink(missing_ok=True)
        raise
    _fsync(target.parent)
    return target


def write_file(target: Path, data: bytes) -> Path:
    """Replace a file's content at once."""
    return fill_file(target, lambda handle: handle.write(data))


def write_json(target: Path, value: Any) -> Path:
    """Replace a JSON file at once; keys in their given order, text readable, NaN refused."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    return write_file(target, (text + "\n").encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def append_row(path: Path, row: Any) -> None:
    """Add a line of JSON; what a crash left of a line before it, which was never acknowledged, goes."""
    with open(path, "ab+") as handle:
        end = handle.seek(0, os.SEEK_END)
        if end:
            handle.seek(end - 1)
            if handle.read(1) != b"\n":
                handle.seek(0)
                handle.truncate(handle.read().rfind(b"\n") + 1)
        handle.write((json.dumps(row) + "\n").encode())
        handle.flush()
        os.fsync(handle.fileno())


def read_rows(path: Path) -> list[Any]:
    """The lines of JSON of a file, none where there is no file; a last line cut by a crash is left out."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def remove_pending(folder: Path) -> None:
    """Delete what a crash left half-written; put an old folder back whose replacement never arrived."""
    for path in sorted(folder.glob(PENDING + "*")):
        target = folder / path.name.removeprefix(PENDING + "old-")
        if path.name.startswith(PENDING + "old-") and not target.exists():
            os.rename(path, target)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
