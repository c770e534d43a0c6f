"""A model card for a reward model (Mitchell et al. 2019), written from its lineage: nobody has to remember anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from trueline import durable
from trueline.evaluate.agreement import agreement
from trueline.evaluate.counterfactual_rates import PassRate
from trueline.evaluate.reward_metrics import DimensionFigures
from trueline.evaluate.statistics import Interval
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.reward.base import FitReport


@dataclass(frozen=True)
class Card:
    """figures, passes: of an evaluation; without them the card is the short form that a fit writes.

    agreement: by dimension, between two people, without ties and with; audit: findings of the data audit, if there are;
    warnings: what whoever uses it must know first.
    """

    name: str
    settings: Mapping[str, Any]
    snapshot: FeedbackSnapshot
    fit: FitReport
    figures: Mapping[str, DimensionFigures] = field(default_factory=dict)
    passes: Sequence[PassRate] = ()
    leaks: int = 0
    audit: Sequence[str] = ()
    warnings: Sequence[str] = ()


def write_card(card: Card, path: Path) -> Path:
    environment = Environment(
        loader=PackageLoader("trueline.evaluate", "templates"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    sources = Counter(c.source or "not stated" for c in card.snapshot.completions.values())
    text = environment.get_template("card.md.jinja").render(
        card=card,
        people=card.snapshot.annotators,
        sources=sources.most_common(),
        agreement={d: agreement(card.snapshot, d) for d in card.fit.dimensions},
        failing=sorted((r for r in card.passes if r.passed.high < 0.95), key=lambda r: r.passed.value),
        show=show,
    )
    return durable.write_file(path, text.encode())


def show(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def cell(value: object) -> str:
    """Text that stays inside one table cell and is not read as markup."""
    return " ".join("".join(f"\\{c}" if c in "\\`*_{}[]<>#|~!&" else c for c in str(value)).split())
