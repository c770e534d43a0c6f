"""trueline reward score"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, NameOption, ProjectOption, finish, say

SHOWN_ERRORS, STEPS = 20, 1000


def score(
    file: Annotated[
        Path, typer.Argument(help="prompt (or messages) and completion (or answer): .jsonl, .csv or .parquet.")
    ],
    out: Annotated[
        Path | None, typer.Argument(help="The rows with their scores; FILE.scored beside it if not given.")
    ] = None,
    project: ProjectOption = Path(),
    name: NameOption = "reward",
    as_json: JsonOption = False,
) -> None:
    """Score every answer of a file, of any size; a row that cannot be scored is named and keeps its place without."""
    from trueline.loop.project import Project
    from trueline.loop.score_file import score_file
    from trueline.reward.registry import load_reward

    model = load_reward(Project.open(project).reward_folder(name))
    target = out or file.with_name(f"{file.stem}.scored{file.suffix}")
    with typer.progressbar(length=STEPS, label=file.name, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        found = score_file(model, file, target, lambda share: bar.update(round(share * STEPS) - bar.pos))
    bad = found.unscored + found.left_out
    for error in found.errors[:SHOWN_ERRORS]:
        say(str(error), as_json=as_json)
    if bad > SHOWN_ERRORS:
        say(f"... and {bad - SHOWN_ERRORS} more rows with errors", as_json=as_json)
    text = f"{file}: {found.scored} rows scored, {found.unscored} without a score, {found.left_out} left out"
    finish(
        {**asdict(found), "errors": [str(e) for e in found.errors], "out": str(target)},
        f"{text}\nout: {target}",
        as_json=as_json,
    )
