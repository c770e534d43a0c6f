"""trueline privacy"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish

if TYPE_CHECKING:
    from trueline.loop.erasing import Erased

app = typer.Typer(help="Erase what a person or a text has left, or what is too old.", no_args_is_help=True)
YesOption = Annotated[bool, typer.Option("--yes", help="Do it; else it is only told what would go.")]


@app.command()
def erase(
    project: ProjectOption = Path(),
    annotator: Annotated[str, typer.Option(help="Whoever labelled, chatted or has an account under this name.")] = "",
    text_id: Annotated[str, typer.Option(help="A prompt with its answers, or one answer, by its id.")] = "",
    matching: Annotated[str, typer.Option(help="All prompts and answers that hold these words.")] = "",
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log, so leave names out.")] = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a person's labels and texts, or some texts, out of the store and out of the project's files."""
    from trueline.loop.erasing import erase as through
    from trueline.loop.project import Project

    found = through(Project.open(project), reason, annotator=annotator, text_id=text_id, words=matching, do=yes)
    _finish(found, as_json=as_json)


@app.command()
def purge(project: ProjectOption = Path(), yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Erase what is older than privacy.keep_days: users' feedback, chats, ended sign-ins, the log's words."""
    from trueline.loop.erasing import purge as through
    from trueline.loop.project import Project

    _finish(through(Project.open(project), do=yes), as_json=as_json)


def _finish(found: Erased, *, as_json: bool) -> None:
    what = found.what
    numbers = {
        "prompts": len(what.prompts),
        "answers": len(what.answers),
        **what.labels,
        "remarks": len(what.said),
        "chats": len(what.jobs),
        "sign-ins": found.secrets,
        "log entries": len(what.entries),
    }
    verb = "erased" if found.entry else "would go"
    lines = [f"{verb}: " + ", ".join(f"{n} {name}" for name, n in numbers.items())]
    lines += [f"  {'redacted' if found.entry else 'would be redacted'}: {file}" for file in found.files]
    if found.models:
        lines.append(f"learned from it, and cannot forget: {', '.join(found.models)}; learn them again, or delete them")
    if what.old:
        lines.append(
            f"{len(what.old)} log entries from before words were sealed name it and stay, for the chain's sake"
        )
    lines.append(f"entry {found.entry} of the audit log" if found.entry else "nothing was changed; --yes does it")
    result = {**numbers, "files": found.files, "models": found.models, "stays": list(what.old), "entry": found.entry}
    finish(result, "\n".join(lines), as_json=as_json)
