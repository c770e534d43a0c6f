"""The page of a data audit: audit.html for people, audit.json for machines."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from trueline import durable
from trueline.evaluate import audit_plots, plots
from trueline.feedback.audit.audit import ERROR_RATE, Audit

ASPECTS = {
    "length": "Length",
    "position": "Side",
    "flattery": "Flattery",
    "group": "Groups of people",
    "topic": "Topics",
    "leniency": "Leniency",
    "drift": "Drift",
    "disagreement": "Who differs",
    "agreement": "Agreement",
    "ties": "Ties",
    "contradiction": "Contradictions",
    "cycle": "Cycles",
    "near-identical": "Near-identical answers",
    "duplicate": "Duplicates",
    "share": "Share of all labels",
    "one-sided": "One-sided",
    "speed": "Speed",
    "time": "Times",
}


def write_audit(audit: Audit, title: str, target: Path) -> Path:
    """Write the folder at once; returns its audit.html."""

    def fill(folder: Path) -> None:
        written = datetime.now(UTC).isoformat(timespec="seconds")
        durable.write_json(folder / "audit.json", {"title": title, "written": written, **asdict(audit)})
        durable.write_file(folder / "audit.html", _render(audit, title, written).encode())

    return durable.write_folder(target, fill) / "audit.html"


def _render(audit: Audit, title: str, written: str) -> str:
    environment = Environment(
        loader=PackageLoader("trueline.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    by_severity = {s: [f for f in audit.findings if f.severity == s] for s in ("serious", "warning", "note", "ok")}
    return environment.get_template("audit.html.jinja").render(
        audit=audit,
        title=title,
        written=written,
        by_severity=by_severity,
        aspects=ASPECTS,
        error_rate=ERROR_RATE,
        chance=chance,
        plotly=plots.library(),
        figures=audit_plots.figures(audit.findings),
    )


def chance(p: float | None) -> str:
    """A corrected p for people."""
    if p is None:
        return "counted"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)
