"""trueline quickstart"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, finish, metrics_table, say, step_printer

MEMBERS = 3  # of the reward ensemble


def quickstart(
    out: Annotated[Path, typer.Option(help="The project folder to make, or to go on with.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(help="Another seed is another run.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Run the whole loop on the embedded scenario. A few minutes on two cores; the labels are simulated."""
    from trueline.config import FILE_NAME, Config, ProjectConfig, RewardConfig
    from trueline.evaluate.report import read_report
    from trueline.loop.project import Project
    from trueline.loop.rounds import run_loop

    started = time.monotonic()
    config = Config(project=ProjectConfig(seed=seed), reward=RewardConfig(members=MEMBERS))
    project = Project.open(out) if (out / FILE_NAME).exists() else Project.create(out, config)
    say(
        "Customer service: a small policy that was pretrained on good and bad replies alike. Labels come from\n"
        "SIMULATED annotators, so that the truth is known and the gain can be checked against it.",
        as_json=as_json,
    )
    report = run_loop(
        project,
        project.run_folder("quickstart"),
        project.config.loop.rounds,
        lambda text: say(text, as_json=as_json),
        step_printer(project.config.align, as_json=as_json),
    )
    found = read_report(report.parent)
    text = (
        f"\nHeld-out prompts, judged by the scenario's known truth:\n{metrics_table(found['metrics'])}\n"
        f"{time.monotonic() - started:.0f} s in all\nreport: {report}"
    )
    finish({"report": str(report), "metrics": found["metrics"]}, text, as_json=as_json)
