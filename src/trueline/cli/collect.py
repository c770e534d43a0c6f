"""trueline collect"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import NOTHING_HELD_OUT, JsonOption, ProjectOption, finish


def collect(
    project: ProjectOption = Path(),
    policy: Annotated[str, typer.Option(help="Whose answers; the project's base policy where not given.")] = "",
    round_: Annotated[int, typer.Option("--round", help="Another round asks other prompts.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Sample answers to prompts into the store. In an embedded scenario simulated annotators label them."""
    from trueline.loop.project import Project

    opened = Project.open(project)

    from trueline.feedback.store import FeedbackStore
    from trueline.loop.collecting import collect as run  # brings torch: what is wrong above is said at once
    from trueline.policy.load import load_policy
    from trueline.records import in_split

    config, seed = opened.config, opened.config.project.seed
    name = policy or opened.base_policy
    prompts = opened.prompts_to_ask(config.collect.prompts, seed, round_)
    held_out = len(in_split(prompts, "test"))
    loaded = load_policy(name, trust_remote_code=config.policy.trust_remote_code)
    collected = run(opened, loaded, prompts, f"policy:{Path(name).name}", seed, round_)
    with FeedbackStore.open(opened.store_path) as store:
        counts = store.counts()
    people = "simulated annotators"
    if opened.labelled_by_people:
        people = f"nobody yet; {collected.queued} items wait in the queue: `trueline serve`"
    text = (
        f"{collected.completions} answers to {collected.prompts} prompts, {held_out} of them held out; "
        f"{collected.ratings} ratings and {collected.comparisons} comparisons by {people}"
    )
    if not held_out:
        text += f"\n{NOTHING_HELD_OUT}"
    result = {**vars(collected), "held_out": held_out, "simulated": not opened.labelled_by_people, "store": counts}
    finish(result, text, as_json=as_json)
