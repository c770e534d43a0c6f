"""trueline evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, metrics_table


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run whose policy is the one after, such as runs/align-001.")],
    project: ProjectOption = Path(),
    judge: Annotated[
        str, typer.Option(help="A reward model under rewards/ that judges; better one that did not teach.")
    ] = "reward",
    before: Annotated[str, typer.Option(help="The policy before; the project's base policy where not given.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Compare before and after on held-out prompts. Writes report.html, report.md and report.json."""
    from trueline.evaluate.report import read_report
    from trueline.loop.project import Project
    from trueline.loop.stages import evaluate_run

    opened = Project.open(project)
    report = evaluate_run(opened, run, before or opened.base_policy, opened.folder / "rewards" / judge)
    metrics = read_report(report.parent)["metrics"]
    finish({"report": str(report), "metrics": metrics}, f"{metrics_table(metrics)}\nreport: {report}", as_json=as_json)
