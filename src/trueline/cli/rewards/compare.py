"""trueline reward compare"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, interval, table


def compare(
    first: Annotated[str, typer.Argument(help="A model's folder under rewards/.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    project: ProjectOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Two reward models on the same held-out pairs, those of the first one's labels."""
    from trueline.loop import reward_checks
    from trueline.loop.project import Project

    opened = Project.open(project)
    found = reward_checks.compare(*(reward_checks.Learned.open(opened, name) for name in (first, second)))
    rows = [
        [d, interval(x.first), interval(x.second), interval(x.difference), f"{x.p:.3f}", str(x.n_pairs)]
        for d, x in found.items()
    ]
    columns = ["dimension", first, second, "difference [95% interval]", "McNemar's p", "pairs"]
    finish({d: asdict(x) for d, x in found.items()}, table(columns, rows), as_json=as_json)
