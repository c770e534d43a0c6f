"""From the reports of the runs to README.md's tables and samples: figures.md in the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trueline.evaluate.report import read_report

NAMES = {
    "kl": "KL to the model before, nats a story",
    "distinct_2": "distinct word pairs",
    "self_bleu": "self-BLEU (higher is more alike)",
    "finished_share": "stories that came to an end by themselves",
    "length": "length, tokens",
    "win_rate_length_controlled": "win rate by the judge, at equal lengths",
}
SHOWN = 3


def write_figures(runs: Sequence[Path], target: Path) -> None:
    """A row a figure, a column a run, each before -> after with its 95% interval; then the first stories of the first
    run's report, whose order is drawn by its seed.
    """
    reports = [read_report(run / "report") for run in runs]
    lines = ["| | " + " | ".join(run.name for run in runs) + " |", "|---" * (1 + len(runs)) + "|"]
    for judge in range(len(reports[0]["story"]["judges"]["rows"])):
        rows = [r["story"]["judges"]["rows"][judge] for r in reports]
        lines.append(f"| win rate by {rows[0]['name']} | " + " | ".join(_told(row["wins"]) for row in rows) + " |")
    for name, text in NAMES.items():
        found = [r["metrics"].get(name) for r in reports]
        lines.append(f"| {text} | " + " | ".join(map(_change, found)) + " |")
    target.write_text("\n".join([*lines, "", *_samples(reports[0]["samples"][:SHOWN])]) + "\n", "utf-8")


def _change(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return "-"
    before = "" if metric["before"] is None else f"{metric['before']['value']:.3g} → "
    return before + _told(metric["after"])


def _told(found: Mapping[str, float] | None) -> str:
    return "-" if found is None else f"{found['value']:.3g} [{found['low']:.3g}, {found['high']:.3g}]"


def _samples(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"**{row['prompt']}**\n"
        yield f"- before: {' '.join(row['before'].split())}"
        yield f"- after: {' '.join(row['after'].split())}\n"
