"""The model card of a saved reward model: where it lies, what it says of settings and audit, and its short form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueline import durable
from trueline.evaluate.card import Card, write_card
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.reward.base import FitReport


def card_of(folder: Path) -> Path:
    """Where the card of a reward model lies."""
    return folder.with_name(f"{folder.name}.card.md")


def write_short_card(
    folder: Path, snapshot: FeedbackSnapshot, fit: FitReport, audit: Sequence[str] = (), warnings: Sequence[str] = ()
) -> Path:
    """The card as it can be told right after a fit; the same fit writes the same bytes."""
    card = Card(folder.name, settings_of(folder), snapshot, fit, audit=audit, warnings=warnings)
    return write_card(card, card_of(folder))


def settings_of(folder: Path) -> dict[str, Any]:
    """kind first, then the settings that model.json keeps; an ensemble's members share theirs."""
    head = durable.read_json(folder / "model.json")
    if "config" in head:
        return _flat(head["kind"], head["config"])
    one = durable.read_json(folder / "member-0" / "model.json")
    return _flat(f"ensemble of {head['members']} {one['kind']} models", one["config"])


def _flat(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    inner = config["transformer"] if "transformer" in kind else {}
    kept = {k: v for k, v in (config | inner).items() if k not in ("kind", "transformer")}
    return {"kind": kind, **{k: _without_folders(v) for k, v in kept.items()}}


def _without_folders(value: Any) -> Any:
    """A card is handed on, and where a model lay on one machine tells others nothing."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def audit_findings(project_folder: Path) -> list[str]:
    """The sentences of the data audit's audit/audit.json, where there is one."""
    try:
        found = durable.read_json(project_folder / "audit" / "audit.json")["findings"]
        return [str(f["sentence"]) for f in found if f.get("severity") != "ok"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
