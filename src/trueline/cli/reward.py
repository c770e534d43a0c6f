"""trueline reward"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, fit_table


def reward(
    project: ProjectOption = Path(),
    name: Annotated[str, typer.Option(help="The model's folder under rewards/.")] = "reward",
    annotators: Annotated[
        str, typer.Option(help="Learn only from these people's labels (comma-separated); everybody's where not given.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Learn a reward model from the labels. Shows how it does on held-out prompts."""
    from trueline.errors import InputError
    from trueline.loop.project import Project
    from trueline.loop.stages import fit_reward

    opened = Project.open(project)
    people = {a.strip() for a in annotators.split(",") if a.strip()}
    if Path(name).name != name or name in {"", ".", ".."}:
        raise InputError(f"--name {name!r}: must be a plain name without slashes")
    target = opened.folder / "rewards" / name
    report = fit_reward(opened, target, people)
    result = {"reward": str(target), **asdict(report)}
    finish(result, f"{fit_table({name: report})}\nreward: {target}", as_json=as_json)
