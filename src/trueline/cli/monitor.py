"""trueline monitor"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, say, table

KEY = "TRUELINE_SERVED_KEY"


def monitor(
    url: Annotated[str, typer.Argument(help="An OpenAI-compatible API, such as http://127.0.0.1:8000/v1.")],
    model: Annotated[str, typer.Option(help="The model's name there.")],
    project: ProjectOption = Path(),
    judge: Annotated[
        str, typer.Option(help="A reward model under rewards/ that judges, where there is no known truth.")
    ] = "reward",
    every: Annotated[float, typer.Option(min=0, help="Again after so many hours, until Ctrl-C; 0: once.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Ask a served model the held-out prompts and judge its answers; what fell since the first time is an alarm.

    The API's key is read from $TRUELINE_SERVED_KEY. Exit code 1 where a dimension fell by more than chance.
    """
    import json
    from dataclasses import asdict

    from trueline.evaluate.judges.chat_api import ChatApi
    from trueline.loop.monitoring import history_path, monitor
    from trueline.loop.panel import judge_of
    from trueline.loop.project import Project

    opened = Project.open(project)
    api = ChatApi(url, model, os.environ.get(KEY, ""))
    judging = judge_of(opened, opened.folder / "rewards" / judge)
    while True:
        found = monitor(opened, api, judging)
        if as_json:
            typer.echo(json.dumps(asdict(found)))
        rows = []
        for dimension, mean in found.means.items():
            change = (found.changes or {}).get(dimension)
            since = f"{change.value:+.3f}  [{change.low:+.3f}, {change.high:+.3f}]" if change else ""
            rows.append([dimension, f"{mean.value:.3f}  [{mean.low:.3f}, {mean.high:.3f}]", since])
        head = [f"{found.at}, {found.asked - found.failed} of {found.asked} answered", "mean", "since the first time"]
        say(table(head, rows), as_json=as_json)
        for dimension in found.worse:
            say(f"alarm: {dimension} fell by more than chance; look at {history_path(opened, api)}", as_json=as_json)
        if not every:
            raise typer.Exit(1 if found.worse else 0)
        time.sleep(3600 * every)
