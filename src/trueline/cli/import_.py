"""trueline import"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, say

if TYPE_CHECKING:
    from trueline.feedback.importing import ImportReport, Progress

SHOWN_ERRORS = 20
EVERY = 2.0  # seconds


def import_(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="hh_harmless, pku_saferlhf, helpdesk, diasafety, ultrafeedback, trl, helpsteer, argilla, "
            "label_studio, jsonl, csv, parquet; or auto, which looks at the first rows.",
        ),
    ],
    file: Annotated[Path, typer.Argument(help="The data file, as it is.")],
    project: ProjectOption = Path(),
    near: Annotated[
        Literal["flag", "skip", "off"],
        typer.Option(help="Prompts that nearly read like another: flag them, leave them out, or do not look."),
    ] = "flag",
    as_json: JsonOption = False,
) -> None:
    """Import prompts, answers and labels. Bad rows are named; good rows still go in, none twice."""
    from trueline.feedback.importing import import_file
    from trueline.feedback.preview import detect
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.project import Project

    opened = Project.open(project)
    dimensions = opened.config.project.dimensions
    if format_name == "auto":
        format_name = detect(file, dimensions)
        say(f"{file}: read as {format_name}", as_json=as_json)
    with FeedbackStore.open(opened.store_path) as store:
        report = import_file(
            store, format_name, file, dimensions, _teller(as_json=as_json), near, opened.config.privacy
        )
        counts = store.counts()
    for error in report.errors[:SHOWN_ERRORS]:
        say(str(error), as_json=as_json)
    if report.left_out > SHOWN_ERRORS:
        say(f"... and {report.left_out - SHOWN_ERRORS} more rows with errors", as_json=as_json)
    result = {
        "rows": report.rows_read,
        "format": format_name,
        "added": asdict(report.added),
        "errors": [str(e) for e in report.errors],
        "left_out": report.left_out,
        "repeated": report.repeated,
        "near": report.near,
        "skipped": report.skipped,
        "near_copies": [asdict(n) for n in report.near_copies[:SHOWN_ERRORS]],
        "languages": report.languages,
        "personal": report.personal,
        "store": counts,
    }
    finish(result, "\n".join(_told(file, report)), as_json=as_json)


def _told(file: Path, report: ImportReport) -> list[str]:
    added = ", ".join(f"{n} {name}" for name, n in asdict(report.added).items())
    lines = [f"{file}: {report.rows_read} rows read, {report.left_out} left out; added {added}"]
    if report.repeated:
        lines.append(f"  {report.repeated} rows say nothing new")
    if report.near:
        what = "were left out" if report.skipped else "are flagged"
        first = report.near_copies[0]
        example = f"the first in {first.unit} {first.row}, {first.alike:.0%} alike"
        lines.append(f"  {report.near} rows have a prompt that nearly reads like another ({example}); they {what}")
    if report.languages:
        top = ", ".join(f"{name} {n}" for name, n in list(report.languages.items())[:5])
        lines.append(f"  languages of new prompts: {top}")
    if report.personal:
        lines.append(f"  {report.personal} new texts hold what looks like personal data; they are flagged")
    return lines


def _teller(*, as_json: bool) -> Callable[[Progress], None]:
    """A line now and then, where it takes long."""
    last = [time.monotonic()]

    def tell(progress: Progress) -> None:
        if time.monotonic() - last[0] >= EVERY:
            last[0] = time.monotonic()
            share = progress.place / progress.size if progress.size else 1.0
            say(f"  {progress.rows:,} rows, {share:.0%} of {progress.size / 1e6:,.0f} MB", as_json=as_json)

    return tell
