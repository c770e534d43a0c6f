"""trueline resume"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, finish, say, step_printer


def resume(
    run: Annotated[Path, typer.Argument(help="The run's folder, such as runs/align-001.")],
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was stopped. It ends in the same weights as one that was not."""
    from trueline.config import Config
    from trueline.loop.run_folder import read_run

    found = read_run(run)
    show = step_printer(Config.model_validate(found["config"]).align, as_json=as_json)
    if found["kind"] == "align":
        from trueline.loop.stages import continue_align

        trained = continue_align(run, show)
        finish({"run": str(run), "policy": str(trained)}, f"policy: {trained}", as_json=as_json)
    else:
        from trueline.loop.rounds import continue_loop

        report = continue_loop(run, lambda text: say(text, as_json=as_json), show)
        finish({"run": str(run), "report": str(report)}, f"report: {report}", as_json=as_json)
