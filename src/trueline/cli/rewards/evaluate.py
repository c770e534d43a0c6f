"""trueline reward evaluate"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueline.cli.output import NOTHING_HELD_OUT, JsonOption, NameOption, ProjectOption, finish, interval, table

if TYPE_CHECKING:
    from trueline.loop.reward_checks import Evaluation

FIGURES = {
    "accuracy": "pairs ordered as people do",
    "accuracy_with_ties": "the same with ties",
    "auc": "AUC, rated 4-5 against 1-2",
    "pearson": "Pearson r with ratings",
    "spearman": "Spearman with ratings",
    "brier": "Brier score",
    "calibration_error": "calibration error (ECE)",
    "length_correlation": "Spearman with length",
    "longer_people": "longer preferred by people",
    "longer_model": "longer preferred by the model",
}
LEAKS_SHOWN, FEW = 5, 100


def evaluate(project: ProjectOption = Path(), name: NameOption = "reward", as_json: JsonOption = False) -> None:
    """Measure a reward model on the labels it was not shown, with 95% intervals, and look for leaks in the split."""
    from trueline.loop import reward_checks, reward_report
    from trueline.loop.project import Project
    from trueline.loop.reward_card import card_of

    opened = Project.open(project)
    learned = reward_checks.Learned.open(opened, name)
    found = reward_checks.evaluate(learned, opened.config.evaluate.bootstrap)
    page = reward_report.write_reports(learned, found, opened.folder)
    card = card_of(learned.folder)
    result: dict[str, Any] = {**asdict(found), "page": str(page), "card": str(card)}
    finish(result, f"{_told(found)}\n\npage: {page}\nmodel card: {card}", as_json=as_json)


def _told(found: Evaluation) -> str:
    dimensions = list(found.figures)
    rows = [[label, *(interval(getattr(found.figures[d], key)) for d in dimensions)] for key, label in FIGURES.items()]
    for label, key in (("error grows with doubt (Spearman)", "grows"), ("mean risk, most certain first", "area")):
        rows.append([label, *(interval(getattr(found.risks[d], key, None)) for d in dimensions)])
    blocks = [table(["held-out figure [95% interval]", *dimensions], rows)]
    parts = [
        [d, s.by, s.name, s.measure, interval(s.figure), str(s.labels)]
        for d, each in found.slices.items()
        for s in each
    ]
    if parts:
        blocks.append(table(["dimension", "by", "part", "figure", "[95% interval]", "labels"], parts))
    if not found.held_out:
        blocks.append(NOTHING_HELD_OUT)
    elif found.held_out < FEW:
        blocks.append(f"only {found.held_out} labelled answers are held out: a dash is what they are too few to tell")
    if found.leaks:
        lines = [f"  {leak.kind}: {leak.held_out!r}" for leak in found.leaks[:LEAKS_SHOWN]]
        blocks.append(f"{len(found.leaks)} held-out answers stand on both sides of the split:\n" + "\n".join(lines))
    return "\n\n".join(blocks)
