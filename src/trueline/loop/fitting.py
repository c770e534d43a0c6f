"""A reward model learned from labels, and what lies beside it: its labels, its card, and what its fit reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.feedback.store import FeedbackStore
from trueline.feedback.users import within_share
from trueline.loop.project import Project
from trueline.loop.provenance import record
from trueline.loop.red_team import notes
from trueline.loop.reward_card import audit_findings, write_short_card
from trueline.reward.base import DimensionFit, FitReport
from trueline.reward.registry import new_reward


def fit_stage(snapshot: FeedbackSnapshot, config: Config, target: Path) -> FitReport:
    """Fit a reward model on a snapshot and save it, or read what an earlier call left."""
    return read_fit(target) if fit_note(target).exists() else fit(snapshot, config, target)


def fit(snapshot: FeedbackSnapshot, config: Config, target: Path, audit: Sequence[str] = ()) -> FitReport:
    """Fit a reward model and save it over what was there; beside the weights its card and, written last, the fit's
    report. audit: what the data audit found, for the card.
    """
    model = new_reward(config.reward, config.project.dimensions)
    report = model.fit(snapshot)
    fit_note(target).unlink(missing_ok=True)
    model.save(target)
    warnings = notes(config)
    write_short_card(target, snapshot, report, audit, warnings)
    durable.write_json(fit_note(target), {**asdict(report), "warnings": warnings})
    return report


def fit_reward(project: Project, target: Path, people: set[str]) -> FitReport:
    """Learn from the labels of some people, or of everybody where none are named, as the store holds them now; of each
    user of a served model no more than may count.
    """
    with FeedbackStore.open(project.store_path) as store:
        snapshot = store.snapshot()
    known = {a.name for a in snapshot.annotators}
    if unknown := sorted(people - known):
        raise InputError(
            f"--annotators: nobody called {unknown[0]!r} has labelled; there is {', '.join(sorted(known))}"
        )
    learned = within_share(snapshot.by_annotators(people) if people else snapshot)
    learned.save(labels_of(target))
    report = fit(learned, project.config, target, audit_findings(project.folder))
    record(project, "snapshot", labels_of(target), {}, again=True)
    record(project, "reward", target, {"labels": labels_of(target)}, again=True)
    return report


def labels_of(target: Path) -> Path:
    """Where the labels lie that a reward model was learned from."""
    return target.with_name(target.name + ".snapshot.jsonl")


def fit_note(target: Path) -> Path:
    """Where the report of a reward model's fit lies."""
    return target.with_name(target.name + ".json")


def read_fit(target: Path) -> FitReport:
    """The report of a fit; InputError where it is missing."""
    try:
        data = durable.read_json(fit_note(target))
        dimensions = {name: DimensionFit(**found) for name, found in data["dimensions"].items()}
        return FitReport(dimensions, data["snapshot_sha256"], data["seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{fit_note(target)}: cannot be read ({error}); fit the model again with `trueline reward`"
        ) from error


def fit_warnings(target: Path) -> list[str]:
    """What the settings of a fit said of themselves; its card says it for good."""
    return list(durable.read_json(fit_note(target)).get("warnings", ()))
