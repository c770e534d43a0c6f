"""trueline verify"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueline.cli.output import JsonOption, ProjectOption, finish, say


def verify(
    project: ProjectOption = Path(),
    head: Annotated[str, typer.Option(help="The log's head as it was noted elsewhere, in full.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Hold the project against its audit log: the chain, every artefact's files, what they came from, the labels."""
    from trueline.loop.project import Project
    from trueline.loop.verifying import verify as check

    found = check(Project.open(project), head.strip().lower())
    for note in found.notes:
        say(f"note: {note}", as_json=as_json)
    for fault in found.faults:
        say(f"fault: {fault}", as_json=as_json)
    what = f"{found.artefacts} artefacts, chain of {found.head.entries} entries, head {found.head.hash}"
    text = f"{len(found.faults)} faults in {what}" if found.faults else f"verified: {what}"
    result = {
        "verified": not found.faults,
        "faults": found.faults,
        "notes": found.notes,
        "artefacts": found.artefacts,
        "entries": found.head.entries,
        "head": found.head.hash,
    }
    finish(result, text, as_json=as_json)
    if found.faults:
        raise typer.Exit(1)
