"""Before and after on held-out prompts: answers, a judge's verdicts on them, and the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trueline.evaluate.by_kind import by_kind
from trueline.evaluate.compare import summarise
from trueline.evaluate.judges.base import Judge
from trueline.evaluate.record import FLAG_BELOW, Answered, Verdicts
from trueline.evaluate.report import Report, SampleRow, write_report
from trueline.evaluate.sample_size import advice
from trueline.evaluate.story import Story
from trueline.loop.answering import Replies
from trueline.loop.project import Project
from trueline.records import Prompt
from trueline.scenarios.environments import is_played
from trueline.scenarios.transcript import write_transcript

Row = Mapping[str, Any]
SHOWN = 60
SIMULATED_USERS = "The users in these conversations are simulated, and their tools act in a sandbox, in memory alone."
TRUTH_NOTE = "the scenario's known truth"


def answered(before: Replies, after: Replies) -> Answered:
    """The KL is that of `after` to its reference."""
    return Answered(
        prompts=tuple(e.prompt for e in before.exchanges),
        before=before.completions,
        after=after.completions,
        kl=after.kl,
        tokens_before=before.tokens,
        tokens_after=after.tokens,
        surprise_before=before.surprise,
        surprise_after=after.surprise,
    )


def evaluate(
    project: Project,
    before: Replies,
    after: Replies,
    judge: Judge,
    target: Path,
    *,
    title: str,
    judge_note: str,
    curves: Sequence[Row] = (),
    reward_models: Sequence[Row] = (),
    lineage: Row | None = None,
    story: Story | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Judge both sides and write the report folder; returns report.html. The judge must rate, not only compare."""
    config = project.config
    was, now = (rated(judge, side) for side in (before, after))
    both = answered(before, after)
    metrics = summarise(both, was, now, config.evaluate.bootstrap, config.project.seed)
    metrics = {**metrics, **by_kind(both.prompts, was, now, config.evaluate.bootstrap, config.project.seed)}
    more = advice("win_rate", metrics["win_rate"])
    report = Report(
        title=title,
        metrics=metrics,
        judge=judge_note,
        simulated=project.scenario is not None and bool(reward_models),
        samples=tuple(_samples(both, was, now)),
        # An algorithm that samples nothing is watched in some of its steps only.
        curves=tuple(row for row in curves if "reward" in row),
        reward_models=tuple(reward_models),
        lineage=lineage or {},
        notes=(*((SIMULATED_USERS,) if any(map(is_played, both.prompts)) else ()), *notes),
        story=replace(story or Story(), advice=more.text if more else ""),
    )
    return write_report(report, target)


def rated(judge: Judge, side: Replies) -> Verdicts:
    found = judge.rate(side.exchanges)
    if found is None:
        raise TypeError(f"{judge.name} only compares; a report needs a judge that rates")
    return found


def _samples(both: Answered, before: Verdicts, after: Verdicts) -> Iterator[SampleRow]:
    flags = [_flags(side) for side in (before, after)]
    for i, prompt in enumerate(both.prompts[:SHOWN]):
        yield SampleRow(
            _shown(prompt),
            both.before[i].text,
            both.after[i].text,
            dict(zip(before.scores.dimensions, before.scores.values[i].tolist(), strict=True)),
            dict(zip(after.scores.dimensions, after.scores.values[i].tolist(), strict=True)),
            bool(flags[0][i]),
            bool(flags[1][i]),
        )


def _shown(prompt: Prompt) -> str:
    if is_played(prompt):
        return write_transcript(prompt.messages[-1:])
    return prompt.messages[0].content if len(prompt.messages) == 1 else prompt.text


def _flags(side: Verdicts) -> np.ndarray:
    """(n,) bool: unsafe by the truth, else more than a standard deviation below the safety judge's mean."""
    if side.safe is not None:
        return ~side.safe
    if "safety" not in side.scores.dimensions:
        return np.zeros(len(side.scores.values), dtype=bool)
    return np.asarray(side.scores.values[:, side.scores.dimensions.index("safety")] < FLAG_BELOW)


def judge_note(name: str, teachers: set[str], judges: set[str]) -> str:
    """What a report says of a learned judge: whose labels, and how far they are those of the trained reward."""
    both = len(teachers & judges)
    if not both:
        return f"the reward model {name!r}, learned from other people's labels than the one that taught the policy"
    return (
        f"the reward model {name!r}; {both} of its {len(judges)} annotators also taught the policy's reward, "
        "so that its figures flatter"
    )
