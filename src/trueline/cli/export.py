"""trueline export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish


def export(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="judgements, preferences, ratings, jsonl, dataset or snapshot.")
    ],
    out: Annotated[Path, typer.Argument(help="The file to write; for dataset a folder. judgements: .jsonl or .csv.")],
    project: ProjectOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write what people said: every event as it was said, or the labels that count now."""
    from trueline.feedback.exporting.export import export as write
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.project import Project

    with FeedbackStore.open(Project.open(project).store_path) as store:
        done = write(store, kind, out)
    counts = ", ".join(f"{n:,} {name}" for name, n in done.rows.items())
    mark = f"; sha256 {done.sha256}" if done.sha256 else ""
    result = {"export": str(done.path), "rows": done.rows, "sha256": done.sha256}
    finish(result, f"{done.path}: {counts}{mark}", as_json=as_json)
