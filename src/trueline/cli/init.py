"""trueline init"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, finish


def init(
    folder: Annotated[Path, typer.Argument(help="Where the project goes.")],
    scenario: Annotated[
        str,
        typer.Option(
            help="customer_service and booking are embedded; assistant, chat, education, fiction, finance, medical, "
            "news and poetry are packs of prompts, guidelines and rules, and so is the path of a folder of your own; "
            '"none" to bring your own prompts and labels.'
        ),
    ] = "customer_service",
    as_json: JsonOption = False,
) -> None:
    """Make a project with a commented trueline.toml."""
    from trueline.scenarios import SCENARIOS
    from trueline.scenarios.pack import find_pack

    if scenario == "none":
        _plain(folder, "", as_json=as_json)
    elif scenario in SCENARIOS:
        _plain(folder, scenario, as_json=as_json)
    else:
        _from_pack(folder, find_pack(scenario, [*SCENARIOS, "none"]), as_json=as_json)


def _plain(folder: Path, scenario: str, *, as_json: bool) -> None:
    from trueline.config import FILE_NAME, Config
    from trueline.loop.project import Project
    from trueline.scenarios import SCENARIOS

    found = SCENARIOS.get(scenario)
    settings = dict(found.settings) if found else {}
    config = Config.model_validate({**settings, "project": {**settings.get("project", {}), "scenario": scenario}})
    target = Project.create(folder, config).folder / FILE_NAME
    then = f"edit it, then `trueline loop --project {folder}`"
    if found and found.policy_folder is None:
        then = f"set policy.model in it, then `trueline align --project {folder} --reward none`"
    finish({"project": str(folder), "config": str(target)}, f"wrote {target}\nnext: {then}", as_json=as_json)


def _from_pack(folder: Path, source: Path, *, as_json: bool) -> None:
    from trueline.config import FILE_NAME
    from trueline.loop.starting import open_pack, start_project
    from trueline.records import SPLITS, split_of

    pack = open_pack(source)
    report = start_project(folder, pack)
    target = folder / FILE_NAME
    counts: dict[str, int] = {split: sum(split_of(p) == split for p in pack.prompts) for split in SPLITS}
    told = ", ".join(f"{n} {split}" for split, n in counts.items())
    result = {
        "project": str(folder),
        "config": str(target),
        "pack": str(source),
        "prompts": counts,
        "added": report.added.prompts,
    }
    text = (
        f"{pack.name}: {pack.sentences['en']}\n"
        f"wrote {target}, and beside it {', '.join(sorted(path.name for path in pack.files))}\n"
        f"prompts in the store: {told}\n"
        f"next: set policy.model in {target}, a Hugging Face chat model; `trueline collect -p {folder}` has it answer, "
        f"`trueline serve -p {folder}` opens the labelling page, `trueline loop -p {folder}` learns from the labels"
    )
    finish(result, text, as_json=as_json)
