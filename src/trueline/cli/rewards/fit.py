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
    from trueline.feedback.store import FeedbackStore
    from trueline.loop.asking import ask_where_unsure
    from trueline.loop.fitting import fit_reward
    from trueline.loop.project import Project
    from trueline.loop.reward_card import card_of
    from trueline.reward.registry import load_reward

    opened = Project.open(project)
    people = {a.strip() for a in annotators.split(",") if a.strip()}
    target = opened.reward_folder(name)
    report = fit_reward(opened, target, people)
    card = str(card_of(target))
    with FeedbackStore.open(opened.store_path) as store:
        asked = ask_where_unsure(store, load_reward(target))
    result = {"reward": str(target), "card": card, "queue": asked, **asdict(report)}
    text = f"{fit_table({name: report})}\nreward: {target}\nmodel card: {card}"
    if asked:
        text += f"\n{asked} items wait for people; they come in the order of this model's doubt"
    if all(found.accuracy is None and found.pearson is None for found in report.dimensions.values()):
        text += f"\n{NOTHING_HELD_OUT}"
    finish(result, text, as_json=as_json)
