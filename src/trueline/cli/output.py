"""How commands speak: figures for people on screen, or one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueline.config import AlignConfig

if TYPE_CHECKING:
    from trueline.evaluate.statistics import Interval

ProjectOption = Annotated[Path, typer.Option("--project", "-p", help="The project folder.")]
NameOption = Annotated[str, typer.Option("--name", help="The model's folder under rewards/.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

NOTHING_HELD_OUT = (
    "no answer to a held-out prompt is there, so that nothing can be measured: of all prompts one in ten is held out, "
    "by its first user turn; import more prompts and label answers to them"
)


def say(text: str, *, as_json: bool = False) -> None:
    """A line of progress; beside a JSON object it goes to standard error."""
    print(text, file=sys.stderr if as_json else sys.stdout, flush=True)


def finish(result: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """The command's result, in one of its two forms."""
    print(json.dumps(result, ensure_ascii=False) if as_json else text, flush=True)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Plain aligned columns, readable in any terminal and log."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [columns, *rows]
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def interval(found: Interval | None) -> str:
    """A figure with its 95% interval; a dash where there is too little to tell."""
    return "-" if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def step_printer(settings: AlignConfig, *, as_json: bool) -> Callable[[Mapping[str, Any]], None]:
    """Prints a line for each training step, with the known truth beside the reward where there is one; for RLlib for
    each iteration."""
    names = {
        "reward": "reward",
        "doubt": "doubt",
        "kl": "KL",
        "unsafe_share": "unsafe",
        "consistent_share": "consistent",
        "length": "length",
    }

    def show_iteration(row: Mapping[str, Any]) -> None:
        reward = row.get("reward", float("nan"))
        say(f"Iteration: {row['step']}, Episode Reward Mean: {reward:.2f}", as_json=as_json)

    def show(row: Mapping[str, Any]) -> None:
        parts = [f"{label} {row[name]:7.3f}" for name, label in names.items() if name in row]
        seconds = row["seconds_rollout"] + row["seconds_update"]
        say(f"  step {row['step']:3d}/{settings.steps}  {'  '.join(parts)}  {seconds:4.1f} s", as_json=as_json)
        for warning in row.get("warnings", ()):
            say(f"  warning: {warning}", as_json=as_json)

    return show_iteration if settings.engine == "rllib" else show


def fit_table(reports: Mapping[str, Any]) -> str:
    """Held-out accuracy of reward models, by name and dimension."""
    rows = [
        [
            name,
            dimension,
            "-" if fit.accuracy is None else f"{fit.accuracy:.3f}",
            str(fit.n_pairs),
            "-" if fit.pearson is None else f"{fit.pearson:.3f}",
            str(fit.n_train),
        ]
        for name, report in reports.items()
        for dimension, fit in report.dimensions.items()
    ]
    return table(["model", "dimension", "held-out accuracy", "pairs", "Pearson r", "labels learned from"], rows)


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """report.json's metrics, before and after, with their 95% intervals."""

    def cell(side: Mapping[str, Any] | None) -> str:
        return "-" if side is None else f"{side['value']:.3f}  [{side['low']:.3f}, {side['high']:.3f}]"

    rows = [[name, cell(m["before"]), cell(m["after"])] for name, m in metrics.items()]
    return table(["held-out metric", "before  [95% interval]", "after  [95% interval]"], rows)
