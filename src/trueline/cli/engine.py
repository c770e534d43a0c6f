"""Options that say where a run runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from trueline.config import changed

if TYPE_CHECKING:
    from trueline.loop.project import Project

EngineOption = Annotated[
    str | None, typer.Option(help="local, ray or rllib; align.engine where not given (docs/scale.md).")
]
WorkersOption = Annotated[int | None, typer.Option(help="Processes; align.workers where not given.")]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help='The Ray cluster, host:port or "auto"; align.ray.address where not given. Where both are empty, Ray is '
        "started here."
    ),
]


def on_engine(project: Project, engine: str | None, workers: int | None, address: str | None) -> Project:
    """The project with other settings than those of its file."""
    config = changed(project.config, "align", engine=engine, workers=workers)
    return replace(project, config=changed(config, "align.ray", address=address))
