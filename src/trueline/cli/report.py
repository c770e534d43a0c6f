"""trueline report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, finish, metrics_table


def report(
    run: Annotated[Path, typer.Argument(help="The run's folder, such as runs/loop-001.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a run's report says, and where it is."""
    from trueline.evaluate.report import read_report
    from trueline.loop.run_folder import find_report

    folder = find_report(run)
    metrics = read_report(folder)["metrics"]
    target = folder / "report.html"
    finish({"report": str(target), "metrics": metrics}, f"{metrics_table(metrics)}\nreport: {target}", as_json=as_json)
