"""A loop's story for its report: rounds ranked, decisions, checks along the KL, and what each judge says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trueline import durable
from trueline.align.journal import read_metrics
from trueline.evaluate.judges.base import Judge
from trueline.evaluate.overoptimisation import fit_curve
from trueline.evaluate.ranking import Ranked, ranking, wins_by_scores
from trueline.evaluate.story import Bend, Checkpoint, Judges, Story
from trueline.loop.answering import Replies
from trueline.loop.deciding import FILE
from trueline.loop.evaluating import rated

FEWEST_POINTS, WORTH_SHOWING = 4, 0.5


@dataclass(frozen=True)
class Version:
    """A round and its policy's answers; round 0 is the base policy."""

    number: int
    folder: Path
    replies: Replies


def story_of(versions: Sequence[Version], judge: Judge, judges: Judges, resamples: int, seed: int) -> Story:
    """versions: the base and every round so far; judge: the one that ranks them."""
    rounds = versions[1:]
    points = tuple(p for v in rounds for p in checkpoints(v.number, read_metrics(v.folder / "align")))
    return Story(
        decisions=tuple(durable.read_json(v.folder / FILE) for v in rounds if (v.folder / FILE).exists()),
        ranking=_ranked(versions, judge, resamples, seed),
        judges=judges,
        checkpoints=points,
        bend=_bend([p for p in points if p.round == rounds[-1].number]),
    )


def _ranked(versions: Sequence[Version], judge: Judge, resamples: int, seed: int) -> tuple[Ranked, ...]:
    scores = np.stack([rated(judge, v.replies).scores.values.sum(1) for v in versions], axis=1)
    names = [f"round {v.number}" if v.number else "base policy" for v in versions]
    return ranking(names, wins_by_scores(scores), resamples, seed)


def checkpoints(number: int, rows: Sequence[Mapping[str, Any]]) -> list[Checkpoint]:
    """The steps at which a held-out judge was asked."""
    return [
        Checkpoint(number, r["step"], r["check_kl"], r["check_reward"], r["judge"], r["judge_error"])
        for r in rows
        if "judge" in r
    ]


def _bend(points: Sequence[Checkpoint]) -> Bend | None:
    """Of the gain since the first check. None for few points, and where the curve tells less than half of them."""
    if len(points) < FEWEST_POINTS:
        return None
    gain = np.array([p.judge - points[0].judge for p in points])
    found = fit_curve("rl", np.array([p.kl for p in points]), gain)
    if not found.r_squared >= WORTH_SHOWING:  # nan where no judge ever saw a difference
        return None
    peak = None if found.peak is None else float(found.peak**2)
    return Bend(found.alpha, found.beta, peak, found.r_squared)
