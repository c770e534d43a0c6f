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
    people: Annotated[
        bool, typer.Option("--people", help="Put the pairs into the labelling queue; what was said so far counts.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare before and after on held-out prompts. Writes report.html, report.md and report.json."""
    from trueline.loop.project import Project
    from trueline.loop.run_folder import read_run

    opened = Project.open(project)
    read_run(run, "align")

    from trueline.evaluate.report import read_report
    from trueline.loop.run_report import evaluate_run  # brings torch: what is wrong above is said at once

    judging = opened.folder / "rewards" / judge
    report = evaluate_run(opened, run, before or opened.base_policy, judging, ask_people=people)
    found = read_report(report.parent)
    metrics, judges = found["metrics"], found["story"]["judges"]["rows"]
    notes = "".join(f"\n{row['name']}: {row['note']}" for row in judges if row["note"])
    text = f"{metrics_table(metrics)}{notes}\nreport: {report}"
    finish({"report": str(report), "metrics": metrics, "judges": judges}, text, as_json=as_json)
