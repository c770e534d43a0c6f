"""The data audit of a project: what is in its store, looked at and shown."""

from __future__ import annotations

from pathlib import Path

from trueline.errors import InputError
from trueline.evaluate.audit_page import write_audit
from trueline.feedback.audit.audit import Audit, audit
from trueline.feedback.audit.timing import label_events
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project

FOLDER = "audit"


def audit_project(project: Project) -> tuple[Audit, Path]:
    """Write audit/audit.html and audit.json into the project; returns the audit and the page. InputError: no labels."""
    with FeedbackStore.open(project.store_path) as store:
        snapshot, events = store.snapshot(), label_events(store)
    if not snapshot.ratings and not snapshot.comparisons:
        raise InputError(f"{project.store_path}: no labels to audit; import or collect some first")
    found = audit(snapshot, events, project.config.evaluate.bootstrap)
    title = f"Data audit of {project.folder.resolve().name}"
    return found, write_audit(found, title, project.folder / FOLDER)
