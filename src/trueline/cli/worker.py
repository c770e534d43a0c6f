"""trueline worker"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import ProjectOption


def worker(
    project: ProjectOption = Path(),
    once: Annotated[bool, typer.Option("--once", help="End when no job is left.")] = False,
    parent: Annotated[int, typer.Option(hidden=True, help="End when this process does.")] = 0,
) -> None:
    """Do what the pages ask for, such as answers of the policy in a chat. `trueline serve` starts one by itself."""
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.project import Project
    from trueline.loop.working import Worker

    opened = Project.open(project)
    with FeedbackStore.open(opened.store_path) as store:
        Worker(opened, store, parent=parent).run(once=once)
