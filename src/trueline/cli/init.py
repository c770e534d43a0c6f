"""trueline init"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, finish


def init(
    folder: Annotated[Path, typer.Argument(help="Where the project goes.")],
    scenario: Annotated[
        str, typer.Option(help='The embedded scenario, or "none" to bring your own prompts and labels.')
    ] = "customer_service",
    as_json: JsonOption = False,
) -> None:
    """Make a project with a commented trueline.toml."""
    from trueline.config import FILE_NAME, Config, ProjectConfig
    from trueline.loop.project import Project
    from trueline.scenarios import load_scenario

    name = "" if scenario == "none" else load_scenario(scenario).name
    project = Project.create(folder, Config(project=ProjectConfig(scenario=name)))
    target = project.folder / FILE_NAME
    finish(
        {"project": str(folder), "config": str(target)},
        f"wrote {target}\nnext: edit it, then `trueline loop --project {folder}`",
        as_json=as_json,
    )
