"""What a report tells of a loop beyond before and after: the rounds, what was decided, and what several judges say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueline.evaluate.ranking import Ranked
from trueline.evaluate.statistics import Interval

Row = Mapping[str, Any]


@dataclass(frozen=True)
class JudgeRow:
    """wins: share of prompts on which the judge prefers the answer after, None where it gave no verdict; people: share
    of people's clear preferences that it orders alike, None where nobody compared.
    """

    name: str
    wins: Interval | None
    people: Interval | None
    note: str = ""


@dataclass(frozen=True)
class Judges:
    """shares, counts: on how many of the pairs two judges say the same, row by row; None where they share none."""

    rows: tuple[JudgeRow, ...]
    shares: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Checkpoint:
    """A policy after so many steps of a round, as a held-out judge saw it: KL in nats an answer, what the learned
    reward says of the same answers, and the judge's mean with its standard error.
    """

    round: int
    step: int
    kl: float
    reward: float
    judge: float
    error: float


@dataclass(frozen=True)
class Bend:
    """The judge's gain along d = sqrt(KL), fitted by d (alpha - beta log d); peak: the KL where it is highest."""

    alpha: float
    beta: float
    peak: float | None
    r_squared: float


@dataclass(frozen=True)
class Story:
    """decisions: as in decision.json, round by round; advice: how many prompts would tell what these cannot."""

    decisions: tuple[Row, ...] = ()
    ranking: tuple[Ranked, ...] = ()
    judges: Judges | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    bend: Bend | None = None
    advice: str = ""
