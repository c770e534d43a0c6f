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
        for d, x in found.duels.items()
    ]
    columns = ["dimension", first, second, "difference [95% interval]", "McNemar's p", "pairs"]
    warnings = [
        f"{len(leaks)} of these answers or their prompts stand in what {name} learned from, or nearly so: "
        "its accuracy may flatter"
        for name, leaks in found.leaks.items()
        if leaks
    ]
    text = "\n".join([table(columns, rows), *warnings])
    finish(asdict(found), text, as_json=as_json)
