"""trueline reward bench"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, NameOption, ProjectOption, finish, interval, table


def bench(
    file: Annotated[Path, typer.Argument(help="JSON lines: prompt, chosen, rejected, and section or subset.")],
    project: ProjectOption = Path(),
    name: NameOption = "reward",
    as_json: JsonOption = False,
) -> None:
    """Pairs by RewardBench's rules: the chosen answer must score strictly higher; sections weigh by their size."""
    from trueline.evaluate import rewardbench
    from trueline.loop.project import Project
    from trueline.reward.registry import load_reward

    model = load_reward(Project.open(project).reward_folder(name))
    found = rewardbench.bench(model, rewardbench.read_pairs(file))
    rows = [[d, section, interval(share)] for d, sections in found.items() for section, share in sections.items()]
    result = {d: {s: x and asdict(x) for s, x in sections.items()} for d, sections in found.items()}
    finish(result, table(["dimension", "section", "chosen wins [95% interval]"], rows), as_json=as_json)
