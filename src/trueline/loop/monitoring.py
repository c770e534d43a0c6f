"""A served model is asked the held-out prompts now and then, so that drift is seen: `trueline monitor`.

PROJECT/served/NAME.jsonl   a line a measurement: when, each dimension's mean with its interval, how it changed since
                            the first one, and each answer's scores
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trueline import durable
from trueline.errors import InputError, RunError
from trueline.evaluate.corrections import LEVEL, p_value
from trueline.evaluate.judges.base import Judge
from trueline.evaluate.judges.chat_api import ApiFailure, ChatApi
from trueline.evaluate.statistics import Interval, paired_difference, student_mean
from trueline.feedback.audit.statistics import holm
from trueline.loop.answering import held_out_prompts
from trueline.loop.project import Project
from trueline.records import Exchange, Prompt, content_id

AT_ONCE = 8
MOST_FAILED = 0.5


@dataclass(frozen=True)
class Measured:
    """means: of each dimension; changes: since the first measurement, over the prompts answered in both (None at the
    first); worse: those that fell by more than chance, Holm's correction over the dimensions.
    """

    at: str
    asked: int
    failed: int
    means: dict[str, Interval]
    changes: dict[str, Interval] | None
    worse: tuple[str, ...]


def monitor(
    project: Project, api: ChatApi, judge: Judge, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Measured:
    """Ask, judge, and add a line. RunError: half of the prompts or more got no answer; nothing is added then."""
    prompts = held_out_prompts(project)
    answers, failures = _answers(api, prompts, project.config.policy.temperature, project.config.policy.max_new_tokens)
    if len(answers) <= MOST_FAILED * len(prompts):
        raise RunError(
            f"{api.url}: {len(failures)} of {len(prompts)} prompts got no answer ({failures[0]}); not counted"
        )
    verdicts = judge.rate(list(answers.values()))
    if verdicts is None:
        raise InputError(f"{judge.name} only compares; monitoring needs a judge that rates")
    scores = {
        d: dict(zip(answers, verdicts.scores.values[:, i].tolist(), strict=True))
        for i, d in enumerate(verdicts.scores.dimensions)
    }
    path = history_path(project, api)
    earlier = read_history(path)
    changes = _changes(earlier[0]["scores"], scores) if earlier else None
    found = Measured(
        now().isoformat(timespec="seconds"),
        len(prompts),
        len(failures),
        {d: student_mean(np.array([*of.values()])) for d, of in scores.items()},
        changes,
        _worse(changes or {}),
    )
    _add(path, found, scores)
    return found


def history_path(project: Project, api: ChatApi) -> Path:
    """A model's name may be anything, so that it is the file's in part only."""
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in api.model)[:40].strip(".") or "model"
    return project.folder / "served" / f"{plain}-{content_id(api.url, api.model)[:8]}.jsonl"


def read_history(path: Path) -> list[dict[str, Any]]:
    """Earlier measurements, oldest first; a last line that a crash cut is left out."""
    return durable.read_rows(path)


def _answers(
    api: ChatApi, prompts: Sequence[Prompt], temperature: float, most: int
) -> tuple[dict[str, Exchange], list[str]]:
    """Answers by the prompt's id, and why the others have none."""

    def ask(prompt: Prompt) -> Exchange | str:
        messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
        try:
            return Exchange.of(prompt, api.complete(messages, temperature, most), f"served:{api.model}")
        except ApiFailure as failure:
            return failure.why

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(ask, prompts))
    answers = {p.id: f for p, f in zip(prompts, found, strict=True) if isinstance(f, Exchange)}
    return answers, [f for f in found if isinstance(f, str)]


def _changes(first: dict[str, dict[str, float]], last: dict[str, dict[str, float]]) -> dict[str, Interval]:
    found = {}
    for dimension in (d for d in last if d in first):
        both = [p for p in last[dimension] if p in first[dimension]]
        if len(both) > 1:
            was, now = (np.array([scores[dimension][p] for p in both]) for scores in (first, last))
            found[dimension] = paired_difference(was, now)
    return found


def _worse(changes: dict[str, Interval]) -> tuple[str, ...]:
    if not changes:
        return ()
    corrected = holm([p_value(change) for change in changes.values()], [1.0] * len(changes)).tolist()
    return tuple(d for (d, change), p in zip(changes.items(), corrected, strict=True) if change.value < 0 and p < LEVEL)


def _add(path: Path, found: Measured, scores: dict[str, dict[str, float]]) -> None:
    def rows(of: dict[str, Interval] | None) -> Any:
        return None if of is None else {d: [i.value, i.low, i.high] for d, i in of.items()}

    row = {
        "at": found.at,
        "asked": found.asked,
        "failed": found.failed,
        "means": rows(found.means),
        "changes": rows(found.changes),
        "worse": found.worse,
        "scores": scores,
    }
    path.parent.mkdir(exist_ok=True)
    durable.append_row(path, row)
