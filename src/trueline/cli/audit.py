"""trueline audit"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from trueline.cli.output import JsonOption, ProjectOption, finish

if TYPE_CHECKING:
    from trueline.feedback.audit.audit import Audit

SHOWN = 12


def audit(project: ProjectOption = Path(), as_json: JsonOption = False) -> None:
    """Look for biases, people who differ, copies and contradictions among the labels. Changes nothing."""
    from trueline.loop.auditing import audit_project
    from trueline.loop.project import Project

    found, page = audit_project(Project.open(project))
    finish({"audit": str(page), **asdict(found)}, f"{_told(found)}\naudit: {page}", as_json=as_json)


def _told(found: Audit) -> str:
    """The gravest findings; what was tested and is in order is only counted, and advice is given once."""
    shown = [f for f in found.findings if f.severity != "ok"]
    lines: list[str] = []
    for f in shown[:SHOWN]:
        advice = f"{'':8} -> {f.advice}"
        lines += [f"{f.severity:8} {f.sentence}", *([] if advice in lines else [advice])]
    if len(shown) > SHOWN:
        lines.append(f"{'':8} {len(shown) - SHOWN} more in the page")
    fine = len(found.findings) - len(shown)
    counts = f"{found.ratings:,} ratings and {found.comparisons:,} comparisons by {len(found.people):,} annotators"
    return "\n".join([f"{counts}; {found.tests:,} tests, of which {fine:,} found nothing", *lines])
