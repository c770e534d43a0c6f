"""trueline loop"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, say, step_printer


def loop(
    project: ProjectOption = Path(),
    rounds: Annotated[Optional[int], typer.Option(help="Times round; loop.rounds where not given.")] = None,  # noqa: UP045
    name: Annotated[str, typer.Option(help="The run's name under runs/; loop-001 and so on where not given.")] = "",
    annotators: Annotated[
        str,
        typer.Option(
            help='"people": labels are waited for, from the pages of `trueline serve`; "nobody": the labels that are '
            'there are learned from; or "simulated".'
        ),
    ] = "",
    budget: Annotated[str, typer.Option(help="The most it may use, such as labels=500,hours=2.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Go round: collect and label, learn a reward, align, evaluate, decide what to change, again."""
    from trueline.errors import InputError
    from trueline.loop.budget import read_budget
    from trueline.loop.project import Project

    opened = Project.open(project)
    if annotators:
        if annotators not in ("people", "nobody", "simulated"):
            raise InputError(f"--annotators {annotators!r}: must be people, nobody or simulated")
        collecting = opened.config.collect.model_copy(update={"labelled_by": annotators})
        opened = Project(opened.folder, opened.config.model_copy(update={"collect": collecting}))
    if budget:
        limits = opened.config.loop.model_copy(update=vars(read_budget(budget)))
        opened = Project(opened.folder, opened.config.model_copy(update={"loop": limits}))
    folder = opened.run_folder(name or opened.next_run("loop"))

    from trueline.loop.rounds import run_loop  # brings torch: what is wrong above is said at once

    result = run_loop(
        opened,
        folder,
        rounds or opened.config.loop.rounds,
        lambda text: say(text, as_json=as_json),
        step_printer(opened.config.align, as_json=as_json),
    )
    finish({"run": str(folder), "report": str(result)}, f"report: {result}", as_json=as_json)
