"""trueline align"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.engine import AddressOption, EngineOption, WorkersOption, on_engine
from trueline.cli.output import JsonOption, ProjectOption, finish, say, step_printer
from trueline.config import AlignConfig


def align(
    project: ProjectOption = Path(),
    reward: Annotated[
        str, typer.Option(help="The reward model's name under rewards/; none: objective.checks alone teach.")
    ] = "reward",
    policy: Annotated[str, typer.Option(help="Where training starts; the base policy where not given.")] = "",
    name: Annotated[str, typer.Option(help="The run's name under runs/; align-001 and so on where not given.")] = "",
    judge: Annotated[
        str,
        typer.Option(
            help="A reward model learned from other people's labels: it checks the policy now and then, and training "
            "ends where its score is past the peak. No checks where not given."
        ),
    ] = "",
    engine: EngineOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the policy against a learned reward. Stopped anywhere, `trueline resume` goes on."""
    from trueline.errors import InputError
    from trueline.loop.project import Project
    from trueline.loop.red_team import notes
    from trueline.loop.run_folder import read_run

    opened = on_engine(Project.open(project), engine, workers, address)
    folder = opened.run_folder(name or opened.next_run("align"))
    if (folder / "run.json").exists():
        raise InputError(f"{folder}: exists already; go on with `trueline resume {folder}` or choose another --name")
    settings = opened.config.align
    judging = opened.reward_folder(judge) if judge else None

    from trueline.loop.stages import continue_align, start_align  # brings torch: what is wrong above is said at once
    from trueline.loop.unlearned import NAME, no_reward

    start_align(
        opened,
        folder,
        policy or opened.base_policy,
        no_reward(opened) if reward == NAME else opened.reward_folder(reward),
        opened.config.project.seed,
        judge=judging,
    )
    say(f"run: {folder} ({_what(settings)})", as_json=as_json)
    for note in notes(opened.config):
        say(f"warning: {note}", as_json=as_json)
    if judge and not read_run(folder)["judge"]:
        why = "align.check_every is 0" if settings.check_every == 0 else "the validation split has too few prompts"
        say(f"the policy will not be checked: {why}", as_json=as_json)
    trained = continue_align(folder, step_printer(settings, as_json=as_json))
    finish({"run": str(folder), "policy": str(trained)}, f"policy: {trained}", as_json=as_json)


def _what(settings: AlignConfig) -> str:
    if settings.engine == "rllib":
        return f"RLlib's {settings.rllib.algorithm}, {settings.rllib.iterations} iterations"
    return f"{settings.algorithm}, {settings.steps} steps"
