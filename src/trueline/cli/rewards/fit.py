"""trueline reward"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import NOTHING_HELD_OUT, JsonOption, NameOption, ProjectOption, finish, fit_table


def fit(
    context: typer.Context,
    project: ProjectOption = Path(),
    name: NameOption = "reward",
    annotators: Annotated[
        str, typer.Option(help="Learn only from these people's labels (comma-separated); everybody's where not given.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Learn a reward model from the labels, and show how it does on held-out prompts; or a command to look into one."""
    if context.invoked_subcommand:
        return
    from trueline.loop.project import Project
    from trueline.loop.reward_card import card_of
    from trueline.loop.stages import fit_reward

    opened = Project.open(project)
    people = {a.strip() for a in annotators.split(",") if a.strip()}
    target = opened.reward_folder(name)
    report = fit_reward(opened, target, people)
    card = str(card_of(target))
    result = {"reward": str(target), "card": card, **asdict(report)}
    text = f"{fit_table({name: report})}\nreward: {target}\nmodel card: {card}"
    if all(found.accuracy is None and found.pearson is None for found in report.dimensions.values()):
        text += f"\n{NOTHING_HELD_OUT}"
    finish(result, text, as_json=as_json)
