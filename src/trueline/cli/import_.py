"""trueline import"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, say

SHOWN_ERRORS = 20


def import_(
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="hh_harmless, pku_saferlhf, helpdesk, diasafety, jsonl or csv.")
    ],
    file: Annotated[Path, typer.Argument(help="The data file, as it is.")],
    project: ProjectOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Import prompts, answers and labels. Bad rows are named; good rows still go in, none twice."""
    from trueline.feedback.importing import import_file
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.project import Project

    opened = Project.open(project)
    with FeedbackStore.open(opened.store_path) as store:
        report = import_file(store, format_name, file, opened.config.project.dimensions)
        counts = store.counts()
    for error in report.errors[:SHOWN_ERRORS]:
        say(str(error), as_json=as_json)
    if len(report.errors) > SHOWN_ERRORS:
        say(f"... and {len(report.errors) - SHOWN_ERRORS} more rows with errors", as_json=as_json)
    added = asdict(report.added)
    text = f"{file}: {report.rows_read} rows read, {len(report.errors)} left out; added " + ", ".join(
        f"{n} {name}" for name, n in added.items()
    )
    errors = [str(e) for e in report.errors]
    finish({"rows": report.rows_read, "added": added, "errors": errors, "store": counts}, text, as_json=as_json)
