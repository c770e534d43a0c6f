"""What an audit says: findings, each a sentence with its figure and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "note", "warning", "serious"]
Unit = Literal["share", "points", "odds ratio", "alpha", "seconds"]


@dataclass(frozen=True)
class Figure:
    """A number with its 95% interval; n: what it is counted over; neutral: what it is where nothing is wrong."""

    value: float
    low: float | None
    high: float | None
    n: int
    unit: Unit
    neutral: float | None = None


@dataclass(frozen=True)
class Passage:
    """A text to look at. `unsafe` ones are hidden until a person asks for them."""

    what: str
    text: str
    unsafe: bool = False


@dataclass(frozen=True)
class Finding:
    """
    id: unique, such as length/safety; aspect: the kind of finding, which the ids of its siblings share
    subject: whom or what the figure is about, for plots
    severity: ok (tested, nothing found), note (to know), warning, serious
    p: of a bias test, as it is; adjusted: corrected for all tests of the audit together; None: not a test
    large: whether the effect, if real, is worth acting on; grave: whether it spoils what is learned from the labels
    """

    id: str
    aspect: str
    subject: str
    sentence: str
    advice: str
    severity: Severity = "note"
    figure: Figure | None = None
    p: float | None = None
    adjusted: float | None = None
    large: bool = True
    grave: bool = False
    examples: tuple[tuple[Passage, ...], ...] = ()


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def between(figure: Figure) -> str:
    """The interval in words, in the figure's unit."""
    if figure.low is None or figure.high is None:
        return f"n = {figure.n:,}"
    form = percent if figure.unit == "share" else (lambda x: f"{x:.2f}")
    return f"95% interval {form(figure.low)} to {form(figure.high)}, n = {figure.n:,}"
