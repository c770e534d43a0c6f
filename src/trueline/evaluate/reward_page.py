"""The page of a reward model's evaluation: reward.html for people, reward.json for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trueline import durable
from trueline.evaluate import plots, reward_plots
from trueline.evaluate.colouring import Coloured
from trueline.evaluate.counterfactual_rates import PassRate
from trueline.evaluate.leakage import Leak
from trueline.evaluate.reward_metrics import DimensionFigures
from trueline.evaluate.risk import Risk
from trueline.evaluate.slices import Slice
from trueline.evaluate.statistics import Interval

TABLE = {
    "accuracy": "accuracy",
    "accuracy_with_ties": "accuracy with ties",
    "auc": "AUC",
    "pearson": "Pearson r",
    "spearman": "Spearman",
    "kendall": "Kendall tau-b",
    "brier": "Brier",
    "calibration_error": "calibration error",
    "length_correlation": "Spearman with length",
    "longer_people": "longer preferred, people",
    "longer_model": "longer preferred, model",
}


@dataclass(frozen=True)
class Example:
    """coloured: the answer, by dimension; rest: parts that are no words of it; hide: blurred until it is asked for."""

    prompt: str
    coloured: Mapping[str, Coloured]
    scores: Mapping[str, float]
    base: Mapping[str, float]
    hide: bool = False


@dataclass(frozen=True)
class RewardPage:
    """lineage: what the model came from, by name; topics: where the slices' topics come from; scores: of the held-out
    answers by dimension; telling: what raises and what lowers a score, (name, effect); idle: tests without effect.
    """

    title: str
    simulated: bool
    lineage: Mapping[str, Any]
    figures: Mapping[str, DimensionFigures]
    risks: Mapping[str, Risk | None]
    slices: Mapping[str, Sequence[Slice]]
    topics: str
    leaks: Sequence[Leak]
    passes: Sequence[PassRate]
    idle: Sequence[str]
    scores: Mapping[str, Sequence[float]]
    telling: Mapping[str, tuple[reward_plots.Named, reward_plots.Named]] = field(default_factory=dict)
    examples: Sequence[Example] = ()


def write_page(page: RewardPage, target: Path) -> Path:
    """Write the folder at once; returns its reward.html."""

    def fill(folder: Path) -> None:
        written = datetime.now(UTC).isoformat(timespec="seconds")
        durable.write_json(folder / "reward.json", {"written": written, **asdict(page)})
        durable.write_file(folder / "reward.html", _render(page, written).encode())

    return durable.write_folder(target, fill) / "reward.html"


def _render(page: RewardPage, written: str) -> str:
    environment = Environment(
        loader=PackageLoader("trueline.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [
        reward_plots.reliability_figure(page.figures),
        reward_plots.risk_figure(page.risks),
        reward_plots.slices_figure(page.slices),
        reward_plots.passes_figure(page.passes),
        reward_plots.telling_figure(page.telling),
        reward_plots.scores_figure(page.scores) if page.scores else None,
    ]
    return environment.get_template("reward.html.jinja").render(
        page=page,
        written=written,
        table=TABLE,
        show=show,
        shade=shade,
        leading=leading,
        failed=sorted((r for r in page.passes if r.worst), key=lambda r: r.passed.value),
        plotly=plots.library(),
        figures=[f for f in drawn if f is not None],
    )


def show(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.value:.3f}"


def leading(rest: Mapping[str, float], most: int = 5) -> list[tuple[str, float]]:
    """The largest parts, and what the others come to."""
    parts = sorted(rest.items(), key=lambda kv: -abs(kv[1]))
    return parts[:most] + ([("others", sum(v for _, v in parts[most:]))] if len(parts) > most else [])


def shade(value: float, most: float) -> str:
    """The background of a word: green raises the score, red lowers it."""
    strength = min(1.0, abs(value) / most) if most else 0.0
    if strength < 0.04:
        return "transparent"
    return f"rgba({'15,118,110' if value > 0 else '185,28,28'},{0.08 + 0.47 * strength:.2f})"
