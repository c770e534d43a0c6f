"""What the folder of a run says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueline import durable
from trueline.errors import InputError


def read_run(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """run.json of a run; InputError when the folder is not a run, or not of this kind."""
    try:
        run: dict[str, Any] = durable.read_json(folder / "run.json")
        found = run["kind"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: not a run folder (no readable run.json); see `trueline report --help`") from error
    if kind is not None and found != kind:
        raise InputError(f"{folder}: is a run of kind {found!r}, not {kind!r}")
    return run


def find_report(run: Path) -> Path:
    """The report folder of a run (or the folder itself); InputError where there is none yet."""
    for folder in (run / "report", run):
        if (folder / "report.json").exists():
            return folder
    raise InputError(
        f"{run}: no report here; make one with `trueline evaluate {run}`, or finish it with `trueline resume {run}`"
    )
