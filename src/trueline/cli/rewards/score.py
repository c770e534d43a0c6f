"""trueline reward score"""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from trueline.cli.output import JsonOption, NameOption, ProjectOption, finish, say
from trueline.errors import InputError

Engine = Literal["local", "ray"]
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
    engine: Annotated[
        Engine, typer.Option(help="local: this process. ray: several, which must all see the file and the project.")
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="With Ray: how many processes score.")] = 2,
    address: Annotated[
        str, typer.Option(help="With Ray: host:port of a cluster that runs, or auto; one on this machine if not given.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Score every answer of a file, of any size; a row that cannot be scored is named and keeps its place without."""
    from trueline.loop.project import Project
    from trueline.loop.score_file import Elsewhere, score_file
    from trueline.reward.registry import load_reward

    if engine == "local" and address:
        raise InputError("--address names a Ray cluster; add --engine ray")
    load = partial(load_reward, Project.open(project).reward_folder(name).resolve())
    model, elsewhere = load(), None
    if engine == "ray":
        from trueline.engines.ray.ordered import ordered_map

        elsewhere = Elsewhere(partial(ordered_map, workers=workers, address=address), load)
    target = out or file.with_name(f"{file.stem}.scored{file.suffix}")
    with typer.progressbar(length=STEPS, label=file.name, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        found = score_file(model, file, target, lambda share: bar.update(round(share * STEPS) - bar.pos), elsewhere)
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
