"""trueline reward test"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, NameOption, ProjectOption, finish, interval, table


def test(
    tests: Annotated[
        Path | None,
        typer.Argument(metavar="TABLE.csv", help="name,kind,find,with,expect,tolerance; ours if not given."),
    ] = None,
    project: ProjectOption = Path(),
    name: NameOption = "reward",
    as_json: JsonOption = False,
) -> None:
    """Change answers in ways that should not change their score, such as a group word or flattery, and count passes."""
    from trueline.loop import reward_checks
    from trueline.loop.project import Project
    from trueline.reward.counterfactuals import DEFAULT_TABLE

    learned = reward_checks.Learned.open(Project.open(project), name)
    rates, idle = reward_checks.counterfactuals(learned, tests or DEFAULT_TABLE)
    rows = [
        [r.test, f"{r.expect}, within {r.tolerance:g}", r.dimension, interval(r.passed), f"{r.mean_change:+.2f}"]
        for r in rates
    ]
    text = table(["test", "expected of the score", "dimension", "passed [95% interval]", "mean change"], rows)
    if idle:
        text += f"\nno held-out answer lends itself to: {', '.join(idle)}"
    finish({"rates": [asdict(r) for r in rates], "idle": idle}, text, as_json=as_json)
