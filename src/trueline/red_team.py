"""Which models were taught harm, in a project that says that it is for red-teaming, and why.

Such a model, made to test defences, says so for good: in its run, on its card, which goes where its weights go, in its
report and wherever it is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.whole_model import card_of_model

NOTED = "red team"  # in the lineage of a card


def said(folder: Path) -> str | None:
    """Why the model or run in this folder rewards harm, as its project says; None where it does not, or nothing tells.

    folder: of a run, a loop, a run's policy/, or a model that was exported: its card carries it on. A policy that was
    trained from such a one has it too.
    """
    promoted = _json(folder / "promoted.json").get("policy")
    models = [folder, *([(folder / promoted).resolve()] if isinstance(promoted, str) else [])]
    return next((reason for model in models if model.is_dir() and (reason := _said_of(model))), None)


def warning(reason: str) -> str:
    """As everybody reads it who meets such a model."""
    return f"RED TEAM: this model was trained to reward harm, on purpose, and must not be given to users. Why: {reason}"


def _said_of(folder: Path) -> str | None:
    for place in (folder, folder.resolve().parent):
        run = _json(place / "run.json")
        project = _inner(_inner(run, "config"), "project")
        for reason in (project.get("red_team"), run.get("red_team")):
            if isinstance(reason, str) and reason:
                return reason
    noted = _inner(card_of_model(folder) or {}, "lineage").get(NOTED)
    return noted if isinstance(noted, str) and noted else None


def _inner(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = durable.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
