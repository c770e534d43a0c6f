"""The report of an evaluation: report.html for people, report.md for a page or a mail, report.json for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trueline import durable
from trueline.errors import InputError
from trueline.evaluate import plots
from trueline.evaluate.compare import Metric
from trueline.evaluate.corrections import corrected
from trueline.evaluate.story import Story
from trueline.evaluate.story_plots import story_figures
from trueline.evaluate.wording import label, show, verdict

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SampleRow:
    """A held-out prompt with both answers, their scores by dimension, and whether an answer is flagged as unsafe."""

    prompt: str
    before: str
    after: str
    scores_before: Mapping[str, float]
    scores_after: Mapping[str, float]
    flagged_before: bool = False
    flagged_after: bool = False


@dataclass(frozen=True)
class Report:
    """
    judge: whose scores these are; simulated: whether simulated annotators made the labels
    curves: a row a training step, as in metrics.jsonl, with "round" where there are rounds
    reward_models: a row a model, with held-out accuracy by dimension
    lineage: what the policy came from, by name
    """

    title: str
    metrics: Mapping[str, Metric]
    judge: str
    simulated: bool
    samples: tuple[SampleRow, ...] = ()
    curves: tuple[Row, ...] = ()
    reward_models: tuple[Row, ...] = ()
    lineage: Row = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    story: Story = field(default_factory=Story)


def write_report(report: Report, target: Path) -> Path:
    """Write the folder at once; returns the path of its report.html."""

    def fill(folder: Path) -> None:
        written = datetime.now(UTC).isoformat(timespec="seconds")
        durable.write_json(folder / "report.json", {"written": written, **asdict(report)})
        durable.write_file(folder / "report.md", _render("report.md.jinja", report, written).encode())
        durable.write_file(folder / "report.html", _render("report.html.jinja", report, written).encode())

    return durable.write_folder(target, fill) / "report.html"


def read_report(folder: Path) -> dict[str, Any]:
    """report.json of a report folder; InputError where there is none."""
    try:
        found: dict[str, Any] = durable.read_json(folder / "report.json")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no readable report.json ({error}); make one with `trueline evaluate`") from error
    return found


def _render(template: str, report: Report, written: str) -> str:
    environment = Environment(
        loader=PackageLoader("trueline.evaluate", "templates"),
        autoescape=template.endswith(".html.jinja"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _markdown_cell
    functions = {"label": label, "show": show, "verdict": verdict, "stands": corrected(report.metrics)}
    drawn: dict[str, Any] = {"plotly": "", "figures": []}
    if template.endswith(".html.jinja"):
        found = [*plots.figures(report.metrics, report.curves), *story_figures(report.story)]
        drawn = {"plotly": plots.library(), "figures": found}
    return environment.get_template(template).render(report=report, written=written, **functions, **drawn)


def _markdown_cell(text: str) -> str:
    """Text that stays inside one table cell and is not read as markup."""
    escaped = "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~!&" else c for c in text)
    return " ".join(escaped.split())
